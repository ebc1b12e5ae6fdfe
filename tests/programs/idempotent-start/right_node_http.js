// With node:http, in chunks; what is settled is noted down and not sent again after a restart.
"use strict";
const { createHash } = require("node:crypto");
const { appendFileSync, existsSync, readFileSync } = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const NOTES = path.join(process.env.STATE_DIR, "settled");
const TIMEOUT_MS = 1000 * Number(process.env.TIMEOUT);

function send(body, key) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${process.env.QUEUE_SERVICE_URL}/v1/queue/message`,
      { method: "POST", headers: { "Content-Type": "application/json", "Idempotency-Key": key } },
      (answer) => {
        answer.resume();
        answer.on("error", reject);
        answer.on("end", () => resolve(answer));
      },
    );
    request.on("error", reject);
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error("no answer in time")));
    request.write(body.slice(0, 10));
    request.end(body.slice(10));
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function settle(order) {
  const digest = createHash("sha1").update(order.order).digest();
  const body = JSON.stringify({ ...order, buildId: digest.readUIntBE(0, 6) + 1 });
  for (;;) {
    const answer = await send(body, digest.toString("hex")).catch(() => null);
    if (answer === null) await pause(150);
    else if (answer.statusCode < 300) return "started";
    else if ([429, 503].includes(answer.statusCode))
      await pause(1000 * Number(answer.headers["retry-after"]));
    else if (answer.statusCode < 500) return "refused";
    else await pause(500);
  }
}

(async () => {
  const settled = existsSync(NOTES) ? readFileSync(NOTES, "utf8").split("\n") : [];
  for (const line of readFileSync(process.env.ORDERS, "utf8").split("\n").filter(Boolean)) {
    const order = JSON.parse(line);
    if (settled.includes(order.order)) continue;
    const word = await settle(order);
    await new Promise((resolve) => process.stdout.write(`${word} ${order.order}\n`, resolve));
    appendFileSync(NOTES, `${order.order}\n`);
  }
})();
