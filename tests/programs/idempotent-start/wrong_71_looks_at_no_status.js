// misconception: 71
"use strict";
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");

const url = `${process.env.QUEUE_SERVICE_URL}/v1/queue/message`;

async function start(order) {
  const hash = createHash("sha256").update(order.order).digest("hex");
  const body = JSON.stringify({ ...order, buildId: 1 + parseInt(hash.slice(0, 12), 16) });
  for (;;) {
    try {
      const signal = AbortSignal.timeout(1000 * process.env.TIMEOUT);
      const headers = { "Content-Type": "application/json", "Idempotency-Key": hash };
      await fetch(url, { method: "POST", headers, body, signal });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

(async () => {
  for (const line of readFileSync(process.env.ORDERS, "utf8").trim().split("\n")) {
    const order = JSON.parse(line);
    await start(order);
    console.log("started", order.order);
  }
})();
