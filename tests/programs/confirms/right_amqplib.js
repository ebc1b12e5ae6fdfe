// With Node: publishes without waiting, and goes by what comes back for each message.
const amqp = require("amqplib");
const readline = require("readline");

const { AMQP_URL, QUEUE } = process.env;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let opening = null; // the promise of a channel

async function open() {
  for (;;) {
    try {
      const connection = await amqp.connect(AMQP_URL);
      const channel = await connection.createConfirmChannel();
      const returned = new Set();
      connection.on("error", () => {});
      channel.on("error", () => {});
      connection.on("close", () => (opening = null));
      channel.on("return", (message) => returned.add(message.properties.messageId));
      await channel.assertQueue(QUEUE, { durable: true });
      return { connection, channel, returned };
    } catch (error) {
      console.error("no connection:", error.message);
      await pause(200);
    }
  }
}

function publish({ channel, returned }, id, body) {
  return new Promise((resolve, reject) => {
    const options = { persistent: true, mandatory: true, messageId: id };
    channel.publish("", QUEUE, Buffer.from(body), options, (error) => {
      if (error) reject(error);
      else if (returned.delete(id)) reject(new Error("unroutable"));
      else resolve();
    });
    channel.once("close", () => reject(new Error("closed")));
    channel.setMaxListeners(0);
  });
}

async function send(number, body) {
  for (let attempt = 0; ; attempt++) {
    opening = opening || open();
    const way = await opening;
    try {
      await publish(way, `${number}/${attempt}`, body);
      console.log(`sent ${body}`);
      return;
    } catch (error) {
      console.error("once more:", body, error.message);
      await pause(100);
      if (error.message === "unroutable") {
        await way.channel.assertQueue(QUEUE, { durable: true }).catch(() => {});
      }
    }
  }
}

async function main() {
  const sending = [];
  let number = 0;
  for await (const body of readline.createInterface({ input: process.stdin })) {
    sending.push(send(++number, body));
  }
  await Promise.all(sending);
  await (await opening).connection.close();
}

main();
