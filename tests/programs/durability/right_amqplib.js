// With Node: durable, persistent, and confirmed one by one.
const amqp = require("amqplib");
const readline = require("readline");

async function main() {
  const queue = process.env.QUEUE;
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true });
  for await (const body of readline.createInterface({ input: process.stdin })) {
    channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    await channel.waitForConfirms();
    console.log(`sent ${body}`);
  }
  await connection.close();
}

main();
