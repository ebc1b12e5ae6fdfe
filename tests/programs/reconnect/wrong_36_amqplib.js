// misconception: 36
const amqp = require("amqplib");

async function main() {
  const { AMQP_URL, QUEUE, DELAY } = process.env;
  const connection = await amqp.connect(AMQP_URL);
  connection.on("error", (error) => console.error("error:", error.message));
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(QUEUE, (message) => {
    const body = message.content.toString();
    setTimeout(() => {
      console.log(`done ${body}`);
      channel.ack(message);
    }, [...body].length * DELAY * 1000 + 2);
  });
}

main();
