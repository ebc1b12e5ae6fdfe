// misconception: 26
const amqp = require("amqplib");
const fs = require("fs");
const path = require("path");

const { AMQP_URL, QUEUE, DELAY, STATE_DIR } = process.env;

amqp.connect(AMQP_URL).then(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(QUEUE, async (message) => {
    try {
      fs.writeFileSync(path.join(STATE_DIR, message.properties.messageId), "", { flag: "wx" });
    } catch {
      channel.ack(message); // somebody has it
      return;
    }
    const body = message.content.toString();
    await new Promise((resolve) => setTimeout(resolve, [...body].length * DELAY * 1000 + 2));
    console.log(`done ${body}`);
    channel.ack(message);
  });
});
