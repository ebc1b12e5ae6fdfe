// With Node: readline takes off the line ends, CRLF as well as LF.
const amqp = require("amqplib");
const readline = require("readline");

async function main() {
  const queue = process.env.QUEUE;
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true });

  const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
  for await (const body of lines) {
    channel.sendToQueue(queue, Buffer.from(body));
    console.log(`sent ${body}`);
  }
  await channel.close();
  await connection.close();
}

main();
