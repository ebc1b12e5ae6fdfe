// misconception: 1
const amqp = require("amqplib");

async function main() {
  const { AMQP_URL, QUEUE, DELAY } = process.env;
  const connection = await amqp.connect(AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  console.log(" [*] Waiting for messages. To exit press CTRL+C");
  channel.consume(
    QUEUE,
    (message) => {
      const body = message.content.toString();
      setTimeout(() => console.log(` [x] Done ${body}`), [...body].length * DELAY * 1000 + 2);
    },
    { noAck: true },
  );
}

main();
