// With Node: nack without requeue; the queue's arguments say where it goes then.
const amqp = require("amqplib");

async function work(body) {
  const milliseconds = [...body].length * Number(process.env.DELAY) * 1000 + 2;
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  if (body.startsWith("bad")) throw new Error("bad input");
}

async function main() {
  const queue = process.env.QUEUE;
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(`${queue}.failed`, { durable: true });
  await channel.assertQueue(queue, {
    durable: true,
    deadLetterExchange: "",
    deadLetterRoutingKey: `${queue}.failed`,
  });
  await channel.prefetch(1);
  await channel.consume(queue, async (message) => {
    const body = message.content.toString();
    try {
      await work(body);
      console.log(`done ${body}`);
      channel.ack(message);
    } catch (error) {
      console.error(`${body}: ${error.message}`);
      channel.nack(message, false, false);
    }
  });
}

main();
