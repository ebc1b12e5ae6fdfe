// misconception: 68
"use strict";
const { createHash, randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");

const URL = `${process.env.QUEUE_SERVICE_URL}/v1/queue/message`;
const TIMEOUT_MS = 1000 * Number(process.env.TIMEOUT);

const numberOf = (name) =>
  1 + parseInt(createHash("sha256").update(name).digest("hex").slice(0, 12), 16);

async function start(order) {
  const body = JSON.stringify({ ...order, buildId: numberOf(order.order) });

  for (;;) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": randomUUID() };
    let answer;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      answer = await fetch(URL, { method: "POST", headers, body, signal });
      await answer.text();
    } catch (trouble) {
      console.error(`${order.order}: ${trouble}`);
      await sleep(200);
      continue;
    }
    if (answer.ok) return "started";
    if (answer.status !== 429 && answer.status < 500) return "refused";
    await sleep(1000 * Number(answer.headers.get("Retry-After") ?? 0.2));
  }
}

(async () => {
  for (const line of readFileSync(process.env.ORDERS, "utf8").trim().split("\n")) {
    const order = JSON.parse(line);
    console.log(await start(order), order.order);
  }
})();
