"""What lies in a bucket: accounts and Regions found by their folders, objects listed for the days that are wanted.

First the layout is looked for, from the prefix downwards; then everything in it is listed, many folders at a time. A
bucket without the layout is a copy of files, and all of it is read.
"""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.errors import AccessError
from cirtlib.sources import Slice
from cirtlib.sources.s3 import layout
from cirtlib.sources.s3.bucket import Bucket, answer
from cirtlib.sources.s3.layout import Spot, Wanted
from cirtlib.sources.s3.reading import Ref

_THREADS = 16
_SEARCH = 200  # folders that are looked into for the layout
_DEPTH = 6


@dataclass(frozen=True)
class _Task:
    """One request: the folders below a prefix, or one page of its objects."""

    prefix: str
    spot: Spot
    folders: bool = False
    token: str = ""


@dataclass
class _Page:
    """What one request gave."""

    objects: list[Ref] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    token: str = ""


@dataclass
class Inventory:
    """The listing of one prefix of a bucket: `refs` gives its objects, and `slices` says afterwards how that went."""

    bucket: Bucket
    prefix: str
    wanted: Wanted
    _counts: dict[str, list[Any]] = field(default_factory=dict)  # by folder: its spot, objects, bytes
    _refused: dict[str, Slice] = field(default_factory=dict)
    _beside: dict[str, list[str]] = field(default_factory=dict)
    _accounts: set[str] = field(default_factory=set)

    def refs(self) -> Iterator[Ref]:
        """Every object that is wanted, once, as it was listed.

        Raises
        ------
        AccessError
            when the credentials have run out and there are no others.
        """
        loose: list[Ref] = []
        tasks = self._start(loose)
        yield from loose
        with ThreadPoolExecutor(_THREADS) as threads:
            running: dict[Future[_Page | Slice], _Task] = {}
            try:
                while tasks or running:
                    while tasks and len(running) < _THREADS:
                        task = tasks.pop()
                        running[threads.submit(self._ask, task)] = task
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        further, found = self._take(running.pop(done), done.result())
                        tasks += further
                        yield from found
            finally:
                threads.shutdown(cancel_futures=True)

    def slices(self) -> Iterator[Slice]:
        """How every listing ended, and what lies beside the logs."""
        for prefix, (spot, objects, size) in sorted(self._counts.items()):
            if f"list:{prefix}" not in self._refused:
                facts = {"kind": spot.kind, "objects": objects, "bytes": size}
                yield replace(self._slice(f"list:{prefix}", spot, "read" if objects else "empty"), facts=facts)
        yield from self._refused.values()
        for account in sorted(set(self.wanted.accounts) - self._accounts):
            if self._accounts:
                reason = f"s3://{self.bucket.name}/{self.prefix} holds no logs of this account"
                yield replace(self._slice(f"account:{account}", Spot(account), "absent"), reason=reason)
        if self._beside:
            said = ", ".join(f"{kind} ({_number(places)})" for kind, places in sorted(self._beside.items())[:20])
            facts = {"beside": {kind: sorted(places)[:100] for kind, places in self._beside.items()}}
            made = Slice(
                f"beside:{self.prefix}", "read", extent="names only", reason=f"beside the logs, and not read: {said}"
            )
            yield replace(made, facts=facts)

    def _start(self, loose: list[Ref]) -> list[_Task]:
        """First requests: where the prefix stands in the layout, or where the layout is below it."""
        prefix = self._folder(loose)
        if prefix is None:
            return []
        spot = layout.spot(prefix)
        if spot.account and self.wanted.kinds:  # what the address names is read, whatever else the case says
            self._accounts.add(spot.account)
            known = not spot.kind or layout.is_log(spot.kind)
            if spot.kind and known:
                self.wanted = replace(self.wanted, kinds=(spot.kind,))
            return [_Task(prefix, spot, folders=known and not spot.region)]
        tasks = self._search(prefix, loose) if self.wanted.kinds else None
        if tasks is not None:
            return tasks
        loose.clear()
        return [_Task(prefix, Spot())]

    def _folder(self, loose: list[Ref]) -> str | None:
        """The prefix with its slash; as it is when it is the start of names; None when it is one object or refused."""
        prefix = self.prefix
        if not prefix or prefix.endswith("/"):
            return prefix
        named, below = (self._ask(_Task(start, Spot())) for start in (prefix, f"{prefix}/"))
        if isinstance(named, Slice) or isinstance(below, Slice):
            for refused in (named, below):
                if isinstance(refused, Slice):
                    self._refused[refused.name] = refused
            return None
        exact = [one for one in named.objects if one.key == prefix]
        loose += exact
        if exact and not below.objects:
            self._counts[prefix] = [layout.spot(prefix), 1, exact[0].size]
            return None
        return prefix if named.objects and not below.objects else f"{prefix}/"

    def _search(self, prefix: str, loose: list[Ref]) -> list[_Task] | None:
        """Accounts below a prefix that names none; None when there is no layout. Objects on the way there are read."""
        tasks: list[_Task] = []
        level, asked, aside, refused = [prefix], 0, list[str](), False
        for _ in range(_DEPTH):
            below: list[str] = []
            for folder in level:
                if asked >= _SEARCH and not layout.leads_on(_name(folder)):
                    aside.append(folder)
                    continue
                asked += 1
                page = self._all(_Task(folder, Spot(), folders=True))
                if page is None:
                    refused = True
                    continue
                loose += page.objects
                on, accounts, others = self._sorted(page.folders)
                tasks += accounts
                below += on or ([] if accounts else others)
                aside += others if on or accounts else []
            level = below
        if not tasks and not refused and not self._accounts:
            return None
        self._note(aside + level)
        return tasks

    def _sorted(self, folders: list[str]) -> tuple[list[str], list[_Task], list[str]]:
        """Folders that lead on, those of accounts (or of a kind, where only that tells an account), and others."""
        on, accounts, others = [], [], []
        for folder in folders:
            spot = layout.spot(folder)
            if spot.account:
                self._accounts.add(spot.account)
                if not self.wanted.accounts or spot.account in self.wanted.accounts:
                    made = self._below(folder) if spot.kind else _Task(folder, spot, folders=True)
                    accounts += [made] if made else []
            elif layout.leads_on(_name(folder)):
                on.append(folder)
            else:
                others.append(folder)
        return on, accounts, others

    def _take(self, task: _Task, answered: _Page | Slice) -> tuple[list[_Task], list[Ref]]:
        """Further requests, and objects, that the answer to one gives."""
        if isinstance(answered, Slice):
            self._refused[answered.name] = answered
            return [], []
        further = [replace(task, token=answered.token)] if answered.token else []
        if task.folders:
            further += [made for folder in answered.folders if (made := self._below(folder))]
            return further, answered.objects
        inside = [one for one in answered.objects if self._is_due(task.spot, one.key)]
        beyond = self._is_beyond(task.spot, answered.objects)
        count = self._counts.setdefault(task.prefix, [task.spot, 0, 0])
        count[1] += len(inside)
        count[2] += sum(one.size for one in inside)
        return ([] if beyond else further), inside

    def _below(self, folder: str) -> _Task | None:
        """Request for a folder below an account or a kind; None when it is not wanted."""
        spot = layout.spot(folder)
        if spot.kind not in self.wanted.kinds:
            self._note([folder])
            return None
        if spot.region and self.wanted.regions and spot.region not in self.wanted.regions:
            return None
        parts = folder[:-1].split("/")
        return _Task(folder, spot, folders=parts[-1] == spot.kind)

    def _note(self, folders: list[str]) -> None:
        for folder in folders:
            self._beside.setdefault(_name(folder), []).append(folder)

    def _is_due(self, spot: Spot, key: str) -> bool:
        day, (first, last) = layout.delivered(spot.base, key) if spot.base else "", self.wanted.days(spot.kind)
        return not day or not ((first and day < f"{first:%Y/%m/%d}") or (last and day > f"{last:%Y/%m/%d}"))

    def _is_beyond(self, spot: Spot, objects: list[Ref]) -> bool:
        """Whether the page ends after the last day; what follows is later still."""
        last = self.wanted.days(spot.kind)[1]
        return bool(spot.base and last and objects and objects[-1].key > f"{spot.base}{last:%Y/%m/%d}/\U0010ffff")

    def _slice(self, name: str, spot: Spot, status: str) -> Slice:
        first, last = self.wanted.days(spot.kind) if spot.region else (None, None)
        return Slice(
            name,
            status,
            account=spot.account or None,
            region=spot.region or None,
            start=f"{first}T00:00:00Z" if first else "",
            end=f"{last}T23:59:59Z" if last else "",
        )

    def _all(self, task: _Task) -> _Page | None:
        """All pages of folders; None when it is refused, which is noted."""
        whole = _Page()
        while True:
            page = self._ask(task)
            if isinstance(page, Slice):
                self._refused[page.name] = page
                return None
            whole.objects += page.objects
            whole.folders += page.folders
            if not page.token:
                return whole
            task = replace(task, token=page.token)

    def _ask(self, task: _Task) -> _Page | Slice:
        """Do one request; a slice when it was refused.

        Raises
        ------
        AccessError
            when the credentials have run out and there are no others.
        """
        options: dict[str, Any] = {"Bucket": self.bucket.name, "Prefix": task.prefix}
        first = self.wanted.days(task.spot.kind)[0]
        if task.folders:
            options["Delimiter"] = "/"
        elif task.spot.base and first:
            options["StartAfter"] = f"{task.spot.base}{first:%Y/%m/%d}"
        if task.token:
            options["ContinuationToken"] = task.token
        while True:
            access = self.bucket.access()
            try:
                return _page(access.client.list_objects_v2(**options))
            except (ClientError, BotoCoreError) as error:
                try:
                    said = answer(error, access)
                except AccessError as expired:
                    self.bucket.renew(access, expired)
                    continue
                reason = f"s3://{self.bucket.name}/{task.prefix} cannot be listed: {said.reason}"
                return replace(self._slice(f"list:{task.prefix}", task.spot, said.status), reason=reason)


def _page(listed: dict[str, Any]) -> _Page:
    objects = [
        Ref(one["Key"], one["Size"], one.get("ETag", "").strip('"'), one["LastModified"], one.get("StorageClass") or "")
        for one in listed.get("Contents") or ()
        if not layout.is_folder_mark(one["Key"], one["Size"])
    ]
    folders = [one["Prefix"] for one in listed.get("CommonPrefixes") or ()]
    return _Page(objects, folders, listed.get("NextContinuationToken") or "")


def _name(folder: str) -> str:
    return folder.rstrip("/").rpartition("/")[2]


def _number(places: list[str]) -> str:
    return "1 place" if len(places) == 1 else f"{len(places)} places"
