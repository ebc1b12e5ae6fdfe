// With Node. The spread counts characters, where .length counts UTF-16 units.
const amqp = require("amqplib");

async function main() {
  const queue = process.env.QUEUE;
  const delay = Number(process.env.DELAY);
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true });
  await channel.prefetch(1);
  await channel.consume(queue, async (message) => {
    const body = message.content.toString();
    await new Promise((resolve) => setTimeout(resolve, [...body].length * delay * 1000 + 2));
    console.log(`done ${body}`);
    channel.ack(message);
  });
  process.on("SIGTERM", async () => {
    await connection.close();
    process.exit(0);
  });
}

main();
