// With Node: one file for each message id, in the folder that all copies share.
const amqp = require("amqplib");
const fs = require("fs");
const path = require("path");

const { AMQP_URL, QUEUE, DELAY, STATE_DIR } = process.env;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

amqp.connect(AMQP_URL).then(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.prefetch(1);
  await channel.consume(QUEUE, async (message) => {
    const mark = path.join(STATE_DIR, `${message.properties.messageId}.done`);
    const body = message.content.toString();
    if (!fs.existsSync(mark)) {
      await sleep([...body].length * DELAY * 1000 + 2);
      fs.writeFileSync(mark, body);
      console.log(`done ${body}`);
    }
    channel.ack(message);
  });
});
