// With Node: only the prefetch keeps it from working on everything at once.
const amqp = require("amqplib");

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000 + 2));

amqp.connect(process.env.AMQP_URL).then(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertQueue(process.env.QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(process.env.QUEUE, async (message) => {
    const body = message.content.toString();
    await sleep(Array.from(body).length * parseFloat(process.env.DELAY));
    console.log(" [x] Done " + body);
    channel.ack(message);
  });
});
