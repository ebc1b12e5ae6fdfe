// misconception: none
const amqp = require("amqplib");
const readline = require("readline");

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(process.env.QUEUE, { durable: true });
  readline.createInterface({ input: process.stdin }).on("line", (body) => {
    channel.sendToQueue(process.env.QUEUE, Buffer.from(body.trim()));
    console.log(`sent ${body}`);
    process.exit(0);
  });
}

main();
