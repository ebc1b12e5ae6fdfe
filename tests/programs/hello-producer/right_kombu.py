"""With kombu, and input read as bytes."""

import os
import sys

from kombu import Connection, Queue


def main():
    with Connection(os.environ["AMQP_URL"]) as connection:
        queue = Queue(os.environ["QUEUE"], durable=True)
        queue(connection.default_channel).declare()
        producer = connection.Producer()
        for line in iter(sys.stdin.buffer.readline, b""):
            body = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
            producer.publish(
                body,
                exchange="",
                routing_key=queue.name,
                content_type="text/plain",
                content_encoding="utf-8",
            )
            sys.stdout.write(f"sent {body}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
