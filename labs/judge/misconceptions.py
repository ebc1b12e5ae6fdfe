"""What learners get wrong about message queues, as data: one row a belief.

Each row has three of the four steps of a ladder of hints: the question (level 1),
the API to read (level 3) and the shape of the change in words (level 4). Level 2 is
evidence from the learner's own run, and so is not here. No step gives the answer
away in code. `labs.judge.diagnosis` says which belief a run shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Misconception:
    """One wrong belief."""

    number: int
    belief: str
    """As the learner would put it: a phrase without a full stop."""
    question: str
    """Hint 1."""
    api: str
    """Hint 3: what to read."""
    shape: str
    """Hint 4: what the change looks like, in words."""


_ROWS = (
    Misconception(
        1,
        "with auto_ack the broker keeps a message until I have finished",
        "When did the broker delete this message: before or after your code saw it?",
        "basic_consume: its parameter auto_ack (no_ack on the wire), and basic_ack.",
        "Consume without auto_ack, and acknowledge each message yourself once its work is done.",
    ),
    Misconception(
        2,
        "a prefetch limit tames auto_ack",
        "Prefetch counts unacknowledged messages. With auto_ack, how many are there?",
        "basic_qos: what prefetch_count counts; and basic_consume: auto_ack.",
        "Leave the prefetch as it is, turn auto_ack off, and acknowledge after the work.",
    ),
    Misconception(
        3,
        "an ack means that I have received the message",
        "What does the broker believe at the moment you crash?",
        "basic_ack, and the broker's guide to consumer acknowledgements.",
        "Move the ack from the beginning of the callback to behind the work and its `done` line.",
    ),
    Misconception(
        4,
        "acknowledging is optional",
        "How many messages are unacknowledged when your worker has done them all? Look at "
        "unacknowledged, not at ready.",
        "basic_ack with method.delivery_tag.",
        "Add one ack at the end of the callback, for each message.",
    ),
    Misconception(
        5,
        "where the work fails nothing has to be said to the broker",
        "Which paths lead out of your callback, and what does the broker hear on each?",
        "basic_ack, basic_nack, basic_reject: one of them for every delivery.",
        "In the branch for errors, decide: reject the message for good or hand it to another "
        "queue; then settle it.",
    ),
    Misconception(
        6,
        "the ack belongs in a finally block",
        "Which outcome are you promising with this ack, and is it true when the work has failed?",
        "basic_ack against basic_nack and basic_reject; try, except and else.",
        "Acknowledge only where the work has succeeded; give the failed message another way out.",
    ),
    Misconception(
        7,
        "a delivery tag is a message's global number",
        "On which channel was this tag given, and how often may it be used there?",
        "delivery_tag of basic_deliver: it counts from 1 on each channel; error 406.",
        "Acknowledge each delivery once, on the very channel that it came by, and forget its tag "
        "when that channel is lost.",
    ),
    Misconception(
        8,
        "multiple=True is just a faster ack",
        "Which deliveries did that single frame settle?",
        "basic_ack: the parameter multiple.",
        "Acknowledge one by one; or several at once only when all before are done, too.",
    ),
    Misconception(
        9,
        "any thread may acknowledge",
        "Who owns the socket, and who wrote on it just now?",
        "add_callback_threadsafe of pika's BlockingConnection (or your client's word on threads).",
        "Let threads do the work and hand the ack over to the thread of the connection.",
    ),
    Misconception(
        10,
        "a durable queue makes its messages safe",
        "Two things must survive: the box and what is in it. Which did you ask for?",
        "BasicProperties: delivery_mode.",
        "Publish each message as persistent, into the durable queue that you have.",
    ),
    Misconception(
        11,
        "a persistent message is enough",
        "After the restart, ask for the queue passively. Is it there?",
        "queue_declare: the parameter durable.",
        "Declare the queue as durable; the messages are persistent already.",
    ),
    Misconception(
        12,
        "basic_publish has returned, so the message is stored",
        "What would have to come back for you to know?",
        "confirm_delivery of the channel; publisher confirms.",
        "Turn on confirms, wait for each confirm before you say `sent`, and publish again what was "
        "not confirmed.",
    ),
    Misconception(
        13,
        "a confirmed message has been routed",
        "Whose word is a confirm, and about what? Which queue was there for this message?",
        "basic_publish: the parameter mandatory; basic.return; UnroutableError.",
        "Publish as mandatory; when a message is returned, declare the queue and publish it again.",
    ),
    Misconception(
        14,
        "to publish again until it is confirmed is safe by itself",
        "How can a consumer see that it has met this message before?",
        "BasicProperties: message_id.",
        "Give each message a name that stays the same when it is published again.",
    ),
    Misconception(
        15,
        "declaring a queue again changes it",
        "What did the broker answer to your declare, and what was the queue like by then?",
        "queue_declare: passive, and error 406, PRECONDITION_FAILED.",
        "Declare a queue the same way everywhere; to change it, delete it first.",
    ),
    Misconception(
        16,
        "a wrong name raises an error",
        "Where did the message go? Compare the routing key on the wire with the queue's name.",
        "basic_publish: exchange '' routes by the queue's exact name; mandatory.",
        "Use $QUEUE's value as the routing key, with the default exchange; mandatory turns "
        "silence into an error.",
    ),
    Misconception(
        17,
        "an exchange keeps messages for those who bind later",
        "Which queue was bound at the moment of the publish?",
        "queue_bind, and what an exchange does with a message that no binding matches.",
        "Declare and bind the queue before the first publish.",
    ),
    Misconception(
        18,
        "a confirmed message stays in the queue",
        "Your queue has a limit of length. What does it drop when it is full?",
        "The queue's arguments x-max-length and x-overflow.",
        "Take the limit away, or let the queue refuse what does not fit (reject-publish).",
    ),
    Misconception(
        19,
        "the broker shares the work fairly by itself, and qos may come at any time",
        "Who holds the backlog: the broker or the worker?",
        "basic_qos: prefetch_count, and when it begins to hold.",
        "Set a prefetch of 1 on the channel before you consume, and acknowledge by hand.",
    ),
    Misconception(
        20,
        "a fair count of messages is a fair share of work",
        "Count seconds, not messages: how long did each copy work, and what did it hold meanwhile?",
        "basic_qos: prefetch_count.",
        "Take one message at a time: a limit of more lets short work wait behind long work.",
    ),
    Misconception(
        21,
        "first in, first out holds with two workers",
        "Which of the two was done first, and which was delivered first?",
        "x-single-active-consumer.",
        "Give the work to one active consumer, or make its effects independent of the order.",
    ),
    Misconception(
        22,
        "nack with requeue keeps the order",
        "What was already on the wire to you when you gave this message back?",
        "basic_nack: requeue; basic_qos.",
        "Hold one message at a time where the order counts, or do not give it back.",
    ),
    Misconception(
        23,
        "the redelivered flag tells a message's history",
        "The flag says `maybe`. Was this message ever worked on?",
        "basic_deliver: the field redelivered; BasicProperties: message_id.",
        "Do not skip by the flag; ask your own record of what is done, by message_id.",
    ),
    Misconception(
        24,
        "with manual acks each message is done exactly once",
        "Between the work and its ack, what happens to the message if you die there?",
        "basic_deliver: redelivered; BasicProperties: message_id; STATE_DIR in CONTRACT.md.",
        "Write down what is done where all copies can read it, and look there before you begin.",
    ),
    Misconception(
        25,
        "a set in memory, or the delivery tag, tells what was done before",
        "Where is your record when the process is gone, and what is message 1's tag after it?",
        "BasicProperties: message_id; delivery_tag counts from 1 on each channel; STATE_DIR.",
        "Keep the message_id (not the tag), in STATE_DIR (not in memory), where the effect is.",
    ),
    Misconception(
        26,
        "mark it as seen first, then do the work",
        "You died between the mark and the work. What do you believe when it comes again?",
        "A transaction of your store, such as sqlite3's, around effect and mark.",
        "Mark a message as done in the same step as its effect, or after it; never before.",
    ),
    Misconception(
        27,
        "effects may be repeated without harm",
        "What is the total if this effect happens twice?",
        "INSERT … ON CONFLICT, or your store's upsert; BasicProperties: message_id.",
        "Set a value or write under the message's id, instead of adding.",
    ),
    Misconception(
        28,
        "requeue=True is a way to try again",
        "What changes between two attempts?",
        "basic_nack and basic_reject: requeue; x-dead-letter-exchange; x-delivery-limit.",
        "Count the attempts; after a few, move the message aside to $QUEUE.failed.",
    ),
    Misconception(
        29,
        "a rejected message goes somewhere",
        "Follow the arrow: which exchange would it go to, and which queue is bound there?",
        "Queue arguments x-dead-letter-exchange and x-dead-letter-routing-key; queue_bind.",
        "Declare the queue for what failed, and name the way there in $QUEUE's arguments (or "
        "publish it there yourself) before you reject.",
    ),
    Misconception(
        30,
        "crash and restart cure a poison message",
        "Who gets the message after your worker has died of it?",
        "try and except around the work; basic_reject.",
        "Catch the failure of the work, decide what becomes of the message, and go on.",
    ),
    Misconception(
        31,
        "the delivery limit protects every queue",
        "Which type is your queue, and does that type know x-delivery-limit?",
        "Queue arguments x-queue-type and x-delivery-limit (quorum queues only).",
        "Use a quorum queue with a delivery limit and a dead letter exchange, or count attempts "
        "yourself.",
    ),
    Misconception(
        32,
        "each message's time to live ends by itself",
        "Which message stands at the head of the queue, and when does it expire?",
        "expiration of BasicProperties against x-message-ttl of a queue.",
        "Use one retry queue for each delay.",
    ),
    Misconception(
        33,
        "a big heartbeat, or none, cures lost connections",
        "Who notices a peer that is silent, not dead?",
        "Connection parameters: heartbeat.",
        "Leave a heartbeat of a few seconds, and let the connection be served while you work.",
    ),
    Misconception(
        34,
        "long work in the callback is fine",
        "Who sends heartbeats while you sleep?",
        "process_data_events, add_callback_threadsafe and connection.sleep of BlockingConnection.",
        "Do the work in a thread (or in short steps), so that the connection's thread is free.",
    ),
    Misconception(
        35,
        "the broker's acknowledgement timeout moves slow work on",
        "Name the event that triggers a redelivery.",
        "consumer_timeout, and what closes a channel.",
        "Do not count on the timeout: let a dead worker's connection end.",
    ),
    Misconception(
        36,
        "consuming never ends by itself",
        "What does your worker do the second time, when the connection is gone?",
        "What start_consuming raises or returns when the connection ends; AMQPConnectionError.",
        "Put connecting, declaring and consuming into a loop that begins again after a short pause "
        "when the connection is lost.",
    ),
    Misconception(
        37,
        "auto commit commits what I have finished",
        "Who committed this offset, when, and what was your program doing at that moment?",
        "enable.auto.commit, enable.auto.offset.store and auto.commit.interval.ms; "
        "Consumer.commit.",
        "Turn auto commit off, and commit each request yourself once it is done.",
    ),
    Misconception(
        38,
        "a commit says that I have received the request",
        "The copy dies in the middle of this request. Where does the next one begin to read?",
        "Consumer.commit, and what a committed offset means to the group.",
        "Move the commit behind the work and its `done` line.",
    ),
    Misconception(
        39,
        "commit() commits the request that I have just done",
        "Which offsets did that one commit set, and in which partitions?",
        "Consumer.commit: without arguments it takes the consumer's position in every partition; "
        "its parameters message and offsets.",
        "Commit the very record that is done, by naming it, and nothing that was only read.",
    ),
    Misconception(
        40,
        "what I have read is gone from the log, so nothing has to be committed",
        "The copy is started again. What tells the group where to go on?",
        "Consumer.commit; group.id and committed offsets.",
        "Commit each request when it is done.",
    ),
    Misconception(
        41,
        "each copy needs a group of its own",
        "Who else did this request, and what makes two consumers share the work?",
        "group.id: the members of one group divide the partitions among them.",
        "Let all copies, and each after its restart, use the group that GROUP names.",
    ),
    Misconception(
        42,
        "requests that are in work side by side may each be committed when done",
        "One commit says something of every record below it. Which of them was still in work?",
        "What a committed offset means; Consumer.commit: offsets; pause and resume.",
        "Commit only up to the first request of a partition that is not done, or work on one "
        "request of a partition at a time.",
    ),
    Misconception(
        43,
        "a new group begins where the log begins",
        "These requests were in the log before your group was. Where did it begin to read?",
        "auto.offset.reset: earliest against latest, which is the default.",
        "Let a group that has committed nothing begin at the first record.",
    ),
    Misconception(
        44,
        "a request that failed may be committed, for the error is in the program's own log",
        "The group is done with this request, it says. Where is the request now?",
        "Producer.produce, on_delivery and flush; then Consumer.commit.",
        "Put what failed on the topic for it, wait until that is acknowledged, and commit then.",
    ),
    Misconception(
        45,
        "what I do not commit, the next poll gives me again",
        "What did the next poll give you, and what did its commit say of the request before it?",
        "Consumer.poll: it goes by the position, not by the commit; Consumer.seek.",
        "Settle a request that failed before you go on: lay it aside and commit it, or seek back.",
    ),
    Misconception(
        46,
        "the group sees at once that a member has died",
        "How long has nobody heard of the dead copy, and after how long is it given up?",
        "session.timeout.ms (45 s unless you say so) and heartbeat.interval.ms.",
        "Agree on the session timeout that SESSION_TIMEOUT_MS names, with a few heartbeats in it.",
    ),
    Misconception(
        47,
        "a commit always succeeds",
        "Your copy ended when its commit was refused. What had changed in the group?",
        "KafkaException; REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION; rebalances of a group.",
        "Catch a refused commit and go on polling: the request comes again, to you or another.",
    ),
    Misconception(
        48,
        "a handler may wait until the deployment is ready",
        "Who did the other jobs while your handlers waited, all of them?",
        "register_job_handler: what a handler's False means; JobQueue: first_pause_s.",
        "Look once; where it is not ready return False, so that the job waits in the queue.",
    ),
    Misconception(
        49,
        "True means that I have looked at the job",
        "Your handler said True of a deployment that was not ready. Who looks at it again?",
        "register_job_handler: what True and False mean.",
        "Return False where it is not ready, and True only when it is done.",
    ),
    Misconception(
        50,
        "a handler that says nothing has succeeded",
        "What does your function return on its last line? What did the queue make of that?",
        "register_job_handler: what a handler may return; labs jobs failed show.",
        "Return True at the end of the work, on every path that ends well.",
    ),
    Misconception(
        51,
        "no error must leave a handler",
        "The work on this job fails, and your handler says True. Where is the job now?",
        "register_job_handler: what becomes of a job whose handler raises.",
        "Let the error go out of the handler: the queue keeps the job with it, among the failed.",
    ),
    Misconception(
        52,
        "to try later, I queue the job anew",
        "It has a new id. Who knows that it is the same job: your record, the file, a person?",
        "register_job_handler: False; queue_job: job_id.",
        "Return False: the same job comes back, with its id, after a pause.",
    ),
    Misconception(
        53,
        "not ready yet is an error",
        "The deployment is fine, only not ready. What is it doing among the failed?",
        "register_job_handler: False against raising.",
        "Return False where time alone will help; raise only where it won't.",
    ),
    Misconception(
        54,
        "to put the job back at once is a way to wait",
        "How often did this job come while it was not ready, and what had changed in between?",
        "register_job_handler: False; queue_job: delay_s.",
        "Leave it to the queue: it makes a pause that grows before the job comes back.",
    ),
    Misconception(
        55,
        "what I have just read is still so when I write",
        "Between your SELECT and your UPDATE, who else saw this task waiting?",
        "UPDATE … WHERE id = ? AND stage = 'waiting', and how many rows it changed; UPDATE … "
        "RETURNING; BEGIN IMMEDIATE.",
        "Claim in one statement that looks and writes; or hold the write lock around both.",
    ),
    Misconception(
        56,
        "an UPDATE that raises no error has claimed the task",
        "How many rows did this UPDATE change? Who had the task by then?",
        "Cursor.rowcount after an UPDATE; UPDATE … RETURNING, which gives back what it changed.",
        "Work only where the UPDATE has changed one row; where it changed none, look for another.",
    ),
    Misconception(
        57,
        "BEGIN locks the database",
        "Two copies have begun and read. What must happen when both want to write?",
        "BEGIN DEFERRED (what BEGIN means), BEGIN IMMEDIATE, SQLITE_BUSY; isolation_level of "
        "sqlite3.connect.",
        "Take the write lock with the first word (BEGIN IMMEDIATE), or roll back and begin anew "
        "when it is refused.",
    ),
    Misconception(
        58,
        "whoever wants to write to the database is let in",
        "Somebody else was writing at that moment. How long did your copy wait for its turn?",
        "timeout of sqlite3.connect; PRAGMA busy_timeout; SQLITE_BUSY.",
        "Give the connection a time for which it waits for its turn: some seconds.",
    ),
    Misconception(
        59,
        "the transaction has to last as long as the work",
        "While your copy worked, who else could write? What did the others wait for?",
        "BEGIN IMMEDIATE and COMMIT: how long a write lock is held.",
        "Claim and commit; work with no transaction open; mark the task as done in another.",
    ),
    Misconception(
        60,
        "what I have claimed is mine for as long as my work lasts",
        "The lease ended in the middle of your work. What did the others see in the table then?",
        "The column lease_end; LEASE; a thread beside the work, or work in short steps.",
        "While you work, set the lease's end anew time and again, well before it is reached.",
    ),
    Misconception(
        61,
        "a lease that is extended once, or when it is nearly over, is extended",
        "When did this lease end, when was it extended, and how long did the work still last?",
        "LEASE; threading.Event.wait with a timeout, as a clock that can be stopped.",
        "Extend for as long as the work lasts, every third of a lease, so that two may be missed.",
    ),
    Misconception(
        62,
        "what I once claimed is mine to mark as done",
        "Your copy stood still for longer than its lease. Whose was the task when it went on?",
        "UPDATE … WHERE id = ? AND owner = ?, and how many rows it changed.",
        "Let every write about a task ask whether its owner is still you; where it changes no row, "
        "the task is another's: let it go.",
    ),
    Misconception(
        63,
        "the database notices when somebody dies",
        "Who changes this row now that its owner is dead?",
        "The column lease_end; a claim's WHERE with OR.",
        "Claim what is waiting, and also what is in work and whose lease has run out.",
    ),
    Misconception(
        64,
        "any clock, in any unit, will do for the end of a lease",
        "What does the number in lease_end mean to another process, or after a restart?",
        "time.time against time.monotonic; unixepoch() and julianday() of SQLite.",
        "Write seconds since 1970, by the clock that all copies share, and compare with the same.",
    ),
    Misconception(
        65,
        "to claim many tasks at once saves time",
        "What did the last of these tasks wait for, and until when was it leased?",
        "LIMIT in the claim; when lease_end begins to run.",
        "Claim one task, do it, and claim the next: the others may take what you do not work on.",
    ),
    Misconception(
        66,
        "one name will do for all copies",
        "Two copies have the same name. Whose task is it that has this owner?",
        "OWNER in the environment: another for each copy, and a new one at each start.",
        "Write OWNER into the column owner, and compare with it.",
    ),
    Misconception(
        67,
        "what is in work when I start was left behind by the dead",
        "Your copy had just started. Who else was at work at that moment?",
        "The columns owner and lease_end; what LEASE promises to others.",
        "Take away nothing at the start. A lease says whether its owner is alive: wait for its "
        "end, as all others do.",
    ),
    Misconception(
        68,
        "no answer means that nothing has happened, so the next try is a new order",
        "You sent it, and heard nothing. What had the service made of it by then?",
        "The member buildId and the header Idempotency-Key: what the service does with one that it "
        "has seen.",
        "Choose the name once for each order, before its first try, and send each try under it.",
    ),
    Misconception(
        69,
        "an error means that it has failed",
        "Your program met an error and did not try this order again. Who will start it now?",
        "Which errors your client raises where there is no answer; which status codes say come "
        "again: 503, 429.",
        "Where there was no answer, or the service is busy, send the same again after a pause, for "
        "as long as it takes.",
    ),
    Misconception(
        70,
        "what has left my program has arrived",
        "You said `started`. What had you heard from the service by then?",
        "What a client raises where there is no answer, and where in your code `started` is "
        "printed.",
        "Print `started` behind an answer that says yes, and on no other path.",
    ),
    Misconception(
        71,
        "an answer is a yes",
        "There was an answer. What did its status say?",
        "The status of an answer: raise_for_status of httpx, ok of fetch, status of http.client. "
        "Many clients raise nothing at 422 or 503.",
        "Look at the status of each answer: 2xx is a yes, 503 says later, 4xx says no.",
    ),
    Misconception(
        72,
        "whatever fails is worth another try",
        "The service has said what is wrong with this order. What will be other at the next try?",
        "4xx against 5xx; the body of a refusal (application/problem+json): detail and errors.",
        "Report what is refused with 4xx (but 429), and go on to the next order.",
    ),
    Misconception(
        73,
        "another try costs nothing, so try again at once",
        "The service has too much to do, and says so. What do your tries add to that?",
        "The header Retry-After of an answer with 503 or 429.",
        "Wait for as many seconds as Retry-After says, and then try again.",
    ),
    Misconception(
        74,
        "a clock, or a counter in memory, is a name",
        "Your program was started again in the middle. What does it call the same order now?",
        "What is the same after a restart: the order's own name in the file, its hash (hashlib, "
        "uuid.uuid5), or what was written to STATE_DIR before the first try.",
        "Make the name of what the order itself has and nobody else, or write it down before you "
        "send it.",
    ),
    Misconception(
        75,
        "one name will do for the whole run",
        "What does the service think that the second order is, under the name of the first?",
        "What the service does with a build id, or an Idempotency-Key, that it has seen.",
        "Give each order a name of its own.",
    ),
    Misconception(
        76,
        "what looks the same is the same",
        "Somebody has ordered the same thing twice, and means it. How do the two orders differ?",
        "The member `order` of each line.",
        "Make the name of what tells the orders apart, not of what they ask for.",
    ),
    Misconception(
        77,
        "to look whether it is there is as good as a name",
        "You looked, and it was not there. Where was your first request at that moment?",
        "The member buildId and the header Idempotency-Key: the service looks and writes in one "
        "step.",
        "Do not look: send the same again under the same name, and let the service find out.",
    ),
    Misconception(
        78,
        "the same Idempotency-Key makes two requests the same, whatever is in them",
        "Which byte of your second request was another than in the first?",
        "Idempotency-Key: what the service does with one that comes with another request.",
        "Make the whole request once, body and all, and send just that at each try.",
    ),
    Misconception(
        79,
        "an answer comes, if one only waits",
        "The other end is gone, and nobody told you. How long will your program wait?",
        "timeout of httpx and urllib.request.urlopen, AbortSignal.timeout for fetch; TIMEOUT.",
        "Give each request a timeout, and take its end for what it is: no answer.",
    ),
    Misconception(
        80,
        "that it is there already is an error",
        "The service says that it has this order already. Who has sent it?",
        "200 against 201, and the member `created` of an answer.",
        "Take 200 for a yes as well as 201: the order is there, and that is what you wanted.",
    ),
)

MISCONCEPTIONS: Mapping[int, Misconception] = MappingProxyType({row.number: row for row in _ROWS})
"""By number, as the hints and the wrong programs name them."""
