"""Tasks that count together: committed when the block ends well, undone, the last first, when it does not."""

import json

from prefect import flow, task
from prefect.transactions import get_transaction, transaction

told = []


@task
def write(name: str) -> str:
    told.append(f"write {name}")
    get_transaction().set("name", name)
    return name


@write.on_rollback
def undo(txn):
    told.append(f"undo {txn.get('name')}")


@write.on_commit
def keep(txn):
    told.append(f"keep {txn.get('name')}")


@task
def check(number: int) -> None:
    if number > 2:
        raise ValueError("too many")


@flow
def writing(count: int) -> str:
    with transaction() as txn:
        txn.set("whole", count)
        for number in range(count):
            write(f"part {number}")
        check(count)
        assert txn.get("whole") == count
    return "written"


if __name__ == "__main__":
    result = writing(2)
    failed = writing(3, return_state=True)
    print(json.dumps({"result": result, "failed": failed.name, "told": told}))
