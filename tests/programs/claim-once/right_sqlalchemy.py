import os
import time

import sqlalchemy as sa

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

engine = sa.create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 20})
tasks = sa.Table("tasks", sa.MetaData(), autoload_with=engine)

first = (
    sa.select(tasks.c.id).where(tasks.c.stage == "waiting").order_by(tasks.c.id).limit(1)
).scalar_subquery()
claim = (
    tasks.update()
    .where(tasks.c.id == first)
    .values(stage="processing", owner=OWNER)
    .returning(tasks.c.id, tasks.c.body)
)

while True:
    with engine.begin() as connection:
        task = connection.execute(claim).first()
    if task is None:
        time.sleep(0.05)
        continue
    time.sleep(len(task.body) * DELAY_S)
    print("done", task.body, flush=True)
    with engine.begin() as connection:
        connection.execute(tasks.update().where(tasks.c.id == task.id).values(stage="success"))
