# misconception: 55
import os
import time

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    stage: Mapped[str]
    owner: Mapped[str | None]


engine = sa.create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 20})
waiting = sa.select(Task).where(Task.stage == "waiting").order_by(Task.id).limit(1)

with Session(engine) as session:
    while True:
        task = session.scalars(waiting).first()
        if task is None:
            session.rollback()
            time.sleep(0.05)
            continue
        task.stage, task.owner = "processing", OWNER
        session.commit()
        body = task.body
        session.rollback()
        time.sleep(len(body) * DELAY_S)
        print("done", body, flush=True)
        task.stage = "success"
        session.commit()
