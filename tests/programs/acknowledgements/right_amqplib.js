// With Node: messages arrive one at a time, each is acknowledged when its timer has run out.
const amqp = require("amqplib");

async function main() {
  const { AMQP_URL, QUEUE, DELAY } = process.env;
  const connection = await amqp.connect(AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  channel.prefetch(1);
  channel.consume(QUEUE, (message) => {
    const body = message.content.toString("utf8");
    setTimeout(() => {
      console.log("done " + body);
      channel.ack(message);
    }, Math.ceil([...body].length * Number(DELAY) * 1000) + 1);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
