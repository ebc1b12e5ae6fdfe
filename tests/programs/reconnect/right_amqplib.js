// With Node: a loop around connect; the connection's "close" event starts the next round.
const amqp = require("amqplib");

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function consume() {
  const { AMQP_URL, QUEUE, DELAY } = process.env;
  const connection = await amqp.connect(AMQP_URL);
  const closed = new Promise((resolve) => connection.on("close", resolve));
  connection.on("error", (error) => console.error(error.message));
  const channel = await connection.createChannel();
  channel.on("error", (error) => console.error(error.message));
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(QUEUE, async (message) => {
    if (message === null) return connection.close();
    const body = message.content.toString();
    await pause([...body].length * DELAY * 1000 + 2);
    console.log(`done ${body}`);
    try {
      channel.ack(message);
    } catch (error) {
      console.error("too late:", error.message); // the channel is closed: it comes again
    }
  });
  await closed;
}

async function main() {
  for (;;) {
    try {
      await consume();
    } catch (error) {
      console.error(error.message);
    }
    await pause(300);
  }
}

main();
