import os
import threading
import time

import sqlalchemy as sa

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

engine = sa.create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 20})
tasks = sa.Table("tasks", sa.MetaData(), autoload_with=engine)


def claim():
    now = time.time()
    free = (tasks.c.stage == "waiting") | (
        (tasks.c.stage == "processing") & (tasks.c.lease_end < now)
    )
    first = sa.select(tasks.c.id).where(free).order_by(tasks.c.id).limit(1).scalar_subquery()
    with engine.begin() as connection:
        return connection.execute(
            tasks.update()
            .where(tasks.c.id == first)
            .values(stage="processing", owner=OWNER, lease_end=now + LEASE_S)
            .returning(tasks.c.id, tasks.c.body)
        ).first()


def change(number, **values):
    """Change a task that is still ours; whether it was."""
    mine = (tasks.c.id == number) & (tasks.c.owner == OWNER) & (tasks.c.stage == "processing")
    with engine.begin() as connection:
        return connection.execute(tasks.update().where(mine).values(**values)).rowcount == 1


def keep(number, over):
    while not over.wait(LEASE_S / 3):
        if not change(number, lease_end=time.time() + LEASE_S):
            return


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    over = threading.Event()
    keeper = threading.Thread(target=keep, args=(task.id, over), daemon=True)
    keeper.start()
    time.sleep(len(task.body) * DELAY_S)
    over.set()
    keeper.join()
    print("done", task.body, flush=True)
    change(task.id, stage="success")
