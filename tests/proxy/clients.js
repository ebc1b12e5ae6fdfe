// What a program with Node's amqplib does, one behaviour after the other; prints what it saw.
"use strict";

const amqp = require("amqplib");

const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

async function confirms(connection) {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("q", { durable: true });
  for (let n = 0; n < 50; n++) channel.sendToQueue("q", Buffer.from(`m${n}`), { messageId: `${n}` });
  await channel.waitForConfirms();
  const returned = once(channel, "return");
  channel.publish("", "nowhere", Buffer.from("lost"), { mandatory: true, headers: { a: 1 } });
  await channel.waitForConfirms();
  const message = await returned;
  await channel.close();
  return [message.fields.replyText, message.content.toString(), message.properties.headers.a];
}

async function gets(connection) {
  const channel = await connection.createChannel();
  const seen = [];
  for (let message; seen.length < 10 && (message = await channel.get("q")); ) {
    seen.push(message.content.toString());
    channel.ack(message);
  }
  const empty = await channel.assertQueue("", { exclusive: true });
  seen.push(await channel.get(empty.queue));
  await channel.close();
  return seen;
}

async function consumes(connection) {
  const channel = await connection.createChannel();
  await channel.prefetch(5);
  const seen = [];
  const cancelled = new Promise((resolve) => {
    channel.consume("q", async (message) => {
      if (message === null) return resolve("cancelled");
      seen.push(message.content.toString());
      channel.ack(message);
      if (seen.length === 40) await (await connection.createChannel()).deleteQueue("q");
    });
  });
  const end = await cancelled;
  await channel.close();
  return [seen.length, seen[0], seen[39], end];
}

async function large(connection) {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  const body = Buffer.alloc(3_000_001, "0123456789abcdef");
  channel.sendToQueue(queue, body);
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  await channel.close();
  return message.content.equals(body);
}

(async () => {
  const connection = await amqp.connect(`${process.env.AMQP_URL}?heartbeat=1`);
  const report = {};
  for (const behaviour of [confirms, gets, consumes, large]) {
    report[behaviour.name] = await behaviour(connection);
  }
  await new Promise((resolve) => setTimeout(resolve, 2200)); // some heartbeats
  await connection.close();
  console.log(JSON.stringify(report));
})();
