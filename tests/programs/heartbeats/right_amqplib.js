// With Node: the work doesn't block, so heartbeats go out by themselves.
const amqp = require("amqplib");

(async () => {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(process.env.QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(process.env.QUEUE, (message) => {
    const body = message.content.toString();
    const finish = () => {
      console.log(`done ${body}`);
      channel.ack(message);
    };
    setTimeout(finish, [...body].length * process.env.DELAY * 1000 + 2);
  });
})();
