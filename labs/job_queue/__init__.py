"""A job queue with typed handlers, on RabbitMQ: each job has a type, each type a handler.

Use it when many parts of a program want work done later, elsewhere, surely, and in no
particular order: mails, reports, a deployment that is polled until it is ready. Where the
order matters (one after the other for each customer), use `labs.request_queue`.

    from labs.job_queue import JobQueue

    jobs = JobQueue.connect("amqp://guest:guest@localhost:5672/%2F", "my_jobs")

    @jobs.register_job_handler("DemoJob")
    def demo(job):
        print(job["job_id"], job["name"])
        return True

    jobs.queue_job({"job_type": "DemoJob", "name": "Ada"})
    jobs.run()          # until SIGTERM or Ctrl-C; start() and stop() for a thread of your own

A handler is a plain function of the job, a dict of its own. It says True: the job is done.
False: not yet; it comes back after a pause, which doubles from 1 s to 60 s. Whatever else
it returns, None too, and whatever it raises: the job has failed, and is kept in
`my_jobs.failed` with the reason, until somebody retries or discards it
(`labs jobs failed`, or `jobs.failed`). A type that no handler knows comes back with the same
pauses, for another replica may know it, and has failed after twenty times. A message that is
no job has failed at once, its bytes as they were.

What it promises:

- What `queue_job` has returned from is safe: the broker has confirmed it.
- Each job is done at least once, or is among the failed. Kill a worker, cut its connection,
  restart the broker, at any moment: no job is lost. Some are done twice: a worker that dies
  after its handler and before it could say so leaves a job that another does again. So a
  handler must be idempotent: `job_id` is the same each time, and tells it what it has done.
- A job that takes its worker with it again and again ends among the failed (`max_losses`).
- A slow type does not starve a quick one: no type has all workers at once (`share`), and
  what waits for a slow type is set aside, in `my_jobs.slow`.
- Any number of replicas share the work. SIGTERM lets running handlers finish within `grace_s`,
  and hands back the rest at once.

A handler has half an hour: what is in hand for longer RabbitMQ takes for lost, and delivers to
another (its `consumer_timeout`). Longer work is begun, and asked after: return False until it is
done. A handler may fork; the child ends where the handler does. A `JobQueue` that is in use does
not outlive a fork: each process makes its own.

It does not promise an order, nor that a job is done only once: nobody can. And one gap is the
broker's: RabbitMQ 3.10, killed within half a second of a queue's declaration, loses the queue.
So let a queue be a second old before its first job matters.

The settings come from a YAML file, the environment (`LABS_JOB_QUEUE__WORKERS=8`) and
arguments; a key that is not in the table is refused by its name:

    settings = load(Settings, file=Path("jobs.yaml"), environ=os.environ)
    jobs = JobQueue.from_settings(settings)

| key | default | meaning |
| --- | --- | --- |
| `application.name` |  | the queue's name is made of it |
| `job_queue.consumer_group_id` | `job_queue_consumer` | names the replicas' connections |
| `job_queue.workers` | `4` | handlers that run side by side |
| `job_queue.prefetch` |  | jobs in hand at once; else twice the workers |
| `job_queue.first_pause_s` | `1.0` | before a job's second attempt |
| `job_queue.longest_pause_s` | `60.0` | to which the pause doubles |
| `job_queue.unknown_limit` | `20` | so often no handler may know a job's type |
| `job_queue.max_losses` | `20` | so often a job may be lost with its worker |
| `job_queue.grace_s` | `30.0` | for what runs when asked to stop |
| `messaging.connection_address` | required | AMQP URLs; a comma between those of a cluster |
| `messaging.topics.job_queue.name` |  | the queue; else `<application.name>_job_queue` |
| `messaging.topics.job_queue.auto_create` | `true` | make the queues if they are not there |
| `messaging.topics.job_queue.config` | `{}` | the queue's arguments; no retention by itself |

Retention is off: work that waits out an outage must not vanish while it waits. Who wants it
gives `config: {x-message-ttl: 60000}`; what is older then is found among the failed.

The rooms: `jobs` (the door, bytes), `outcomes` (what a handler said), `marks` (headers),
`lanes` (which job may run), `worker` (threads, settling), `failed`, `service` (the whole),
`bus` (what is asked of a broker), `memory` and `rabbitmq` (who keeps it).
"""

from labs.job_queue.failed import FailedJob, FailedJobs
from labs.job_queue.jobs import Job, JobRefused
from labs.job_queue.outcomes import Attempt, Outcome
from labs.job_queue.registry import BadHandler
from labs.job_queue.service import Counts, JobQueue

__all__ = [
    "Attempt",
    "BadHandler",
    "Counts",
    "FailedJob",
    "FailedJobs",
    "Job",
    "JobQueue",
    "JobRefused",
    "Outcome",
]
