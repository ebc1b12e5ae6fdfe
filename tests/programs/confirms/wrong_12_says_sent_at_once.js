// misconception: 12
const amqp = require("amqplib");
const readline = require("readline");

async function main() {
  const queue = process.env.QUEUE;
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  connection.on("error", (error) => console.error(error.message));
  await channel.assertQueue(queue, { durable: true });
  for await (const body of readline.createInterface({ input: process.stdin })) {
    try {
      channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    } catch (error) {
      console.error(error.message);
    }
    console.log(`sent ${body}`);
  }
  await connection.close().catch(() => {});
}

main();
