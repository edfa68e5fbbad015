"""The list of everything the evidence compares: which cells belong to which part, in what order.

Plain values, no data and no TensorFlow: what is missing, what it costs in steps and what a table
needs is known without opening anything. A cell is the file `<folder>/f<fold>s<seed>/
<tag>-<hospital>.json` among the results; a job makes the cells of one thing that is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.networks import NetworkName
from peer_client.simulation.recipe import Recipe


@dataclass(frozen=True)
class Trial:
    """What is trained and how: a recipe, and what only a comparison changes.

    Attributes:
        recipe: Rounds, steps, seed, bits, size of the input.
        network: Architecture.
        floats: Whether updates are averaged as they are, not quantised.
        personal: Layers that stay at their hospital.
        spatial: Whether the lung field is cropped.
        signal: Whether grey levels are mapped to anchors.
    """

    recipe: Recipe
    network: NetworkName = "capsnet"
    floats: bool = False
    personal: tuple[str, ...] = ()
    spatial: bool = True
    signal: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return {**asdict(self), "personal": list(self.personal)}


#: The short recipe: 160 federated and 80 fine-tuning steps a hospital, and 240 local ones: five
#: folds and everything that is compared with it fit into the time.
SHORT = Recipe(rounds=10, local_steps=16, adapt_steps=80, bits=8)
#: What is recommended (`hospital-client simulate`): nearly six times as long.
RECOMMENDED = Recipe()
#: Folder of the short recipe's cells, which the other parts are compared with.
SHORT_FOLDER = "short"
RECOMMENDED_FOLDER = "recommended"
#: Cross-validation folds: by how many folds the hospitals' splits are moved on.
FOLDS = (0, 1, 2, 3, 4)
ONE = (0,)
#: Layers that are not averaged, by the name of the variant.
KEPT = {
    "classes": ("class_capsules", "auxiliary"),
    "trunk": ("deep_capsules", "class_capsules", "auxiliary"),
}
#: Steps of the textbook layer take this many times as long (benchmarks/training.py measures it).
TEXTBOOK_SLOWER = 7
#: What each part is, for people.
PARTS_IN_WORDS = {
    "short": "baseline, local-only, federated, fine-tuned, ensemble, served",
    "recommended": "the same by the recommended recipe",
    "recommended-pooled": "pooled training at equal steps, by the recommended recipe",
    "widths": "4, 6 and 12 bits and float",
    "normalisation": "normalisation off, spatial, signal",
    "ensemble": "as many local-only models as an ensemble has",
    "pooled": "pooled training at equal steps",
    "second-seed": "a second seed of the short recipe",
    "personal": "class layers or the routed trunk kept at the hospital",
    "networks": "twin and textbook layer",
    "counts": "3, 6 and 12 hospitals",
    "late": "a hospital joins late",
    "rounds": "rounds x local steps",
    "faults": "masks withheld; wrong labels",
}


@dataclass(frozen=True)
class View:
    """What of a fold's training data a federation sees; test patients stay whole.

    Attributes:
        without: A hospital that has no part in it.
        count: How many hospitals the patients are divided among; None leaves them as they are.
        masks_withheld: A hospital that trains without its masks.
        wrong_labels: A hospital where 20 % of the training patients are labelled wrongly.
    """

    without: str | None = None
    count: int | None = None
    masks_withheld: str | None = None
    wrong_labels: str | None = None


@dataclass(frozen=True)
class Job:
    """One thing that is trained, and the cells in which it is read.

    Attributes:
        part: Name of the part.
        folder: Folder of the part's cells.
        kind: "baseline", "local-only", "federated", "fine-tuned" or "pooled".
        tag: First half of its cells' names.
        trial: How it is trained.
        fold: Of the cross-validation.
        trained_at: The hospital that trains it; None where all do.
        readers: Hospitals whose test patients it is read on.
        taking_part: How many hospitals take steps.
        view: What it sees of the training data.
        starts_from: Tag of the cell whose weights a fine-tuning starts from.
        same_as: Folder and tag of other cells that are the same thing: copied if they are there.
        curve: Whether each round's model is judged on validation patients.
        views: Whether patients of few slices are read in several views, as served models read.
    """

    part: str
    folder: str
    kind: str
    tag: str
    trial: Trial
    fold: int
    trained_at: str | None
    readers: tuple[str, ...]
    taking_part: int = 1
    view: View = field(default_factory=View)
    starts_from: str | None = None
    same_as: tuple[tuple[str, str], ...] = ()
    curve: bool = False
    views: bool = False

    @property
    def place(self) -> str:
        """Return fold and seed as the folders are called."""
        return f"f{self.fold}s{self.trial.recipe.seed}"

    @property
    def name(self) -> str:
        """Return one name for locks and logs; every job's differs."""
        at = f"-{self.trained_at}" if self.trained_at else ""
        return f"{self.folder}-{self.place}-{self.tag}{at}"

    @property
    def steps(self) -> int:
        """Return the training steps that it takes, over all hospitals."""
        recipe = self.trial.recipe
        each = {
            "baseline": 0,
            "local-only": recipe.steps,
            "federated": recipe.federated_steps,
            "fine-tuned": recipe.adapt_steps,
            "pooled": recipe.steps,
        }[self.kind]
        return each * self.taking_part

    def cells(self) -> tuple[str, ...]:
        """Return the names of the cells it makes, as `benchmarks.evidence.cells` keeps them."""
        return tuple(cell_name(self.folder, self.place, self.tag, each) for each in self.readers)

    def start(self) -> str | None:
        """Return the cell whose weights must be there before it can begin."""
        if self.starts_from is None or self.trained_at is None:
            return None
        return cell_name(self.folder, self.place, self.starts_from, self.trained_at)


def cell_name(folder: str, place: str, tag: str, hospital: str) -> str:
    """Return a cell's name, without an ending.

    >>> cell_name("short", "f0s0", "federated", "ucsd")
    'short/f0s0/federated-ucsd'
    """
    return f"{folder}/{place}/{tag}-{hospital}"


@dataclass(frozen=True)
class Plan:
    """Makes the jobs of each part for the hospitals of a file.

    Attributes:
        hospitals: Names in the order of the file.
        short: The short recipe.
        longer: The recommended one.
    """

    hospitals: tuple[str, ...]
    short: Recipe = SHORT
    longer: Recipe = RECOMMENDED

    def headline(self, seed: int, folds: Sequence[int]) -> list[Job]:
        """Baseline, federated, local-only, fine-tuned, fold by fold."""
        trial = Trial(replace(self.short, seed=seed))
        part = "second-seed" if seed else "short"
        jobs = []
        for fold in folds:
            if seed == 0:
                jobs.append(Job(part, SHORT_FOLDER, "baseline", "baseline", trial, fold, None,
                                self.hospitals))  # fmt: skip
            again = (("ensemble", "local-only"),) if seed else ()
            jobs += self._models(part, SHORT_FOLDER, trial, fold, again)
        return jobs

    def recommended(self, folds: Sequence[int]) -> list[Job]:
        """The same three models by the recommended recipe, read as what is served reads."""
        return [
            replace(job, views=True)
            for fold in folds
            for job in self._models("recommended", RECOMMENDED_FOLDER, Trial(self.longer), fold)
        ]

    def _models(
        self,
        part: str,
        folder: str,
        trial: Trial,
        fold: int,
        again: tuple[tuple[str, str], ...] = (),
    ) -> list[Job]:
        """The federated model, the local-only ones, and the fine-tuned ones."""
        curve = trial.recipe.seed == 0
        jobs = [self._federated(part, folder, "federated", trial, fold, curve=curve)]
        for name in self.hospitals:
            jobs.append(Job(part, folder, "local-only", "local-only", trial, fold, name, (name,),
                            same_as=again))  # fmt: skip
        for name in self.hospitals:
            jobs.append(Job(part, folder, "fine-tuned", "fine-tuned", trial, fold, name, (name,),
                            starts_from="federated"))  # fmt: skip
        return jobs

    def widths(self, folds: Sequence[int]) -> list[Job]:
        """4, 6 and 12 bits and float; 8 is the short recipe's."""
        trials = {
            "bits4": Trial(replace(self.short, bits=4)),
            "float": Trial(self.short, floats=True),
            "bits6": Trial(replace(self.short, bits=6)),
            "bits12": Trial(replace(self.short, bits=12)),
        }
        return self._variants("widths", trials, folds)

    def normalisation(self, folds: Sequence[int]) -> list[Job]:
        """Neither step, the spatial one, the signal one; both is the short recipe's."""
        trials = {
            "off": Trial(self.short, spatial=False, signal=False),
            "spatial": Trial(self.short, signal=False),
            "signal": Trial(self.short, spatial=False),
        }
        return self._variants("normalisation", trials, folds)

    def _variants(self, part: str, trials: dict[str, Trial], folds: Sequence[int]) -> list[Job]:
        return [
            self._federated(part, part, tag, trial, fold)
            for fold in folds
            for tag, trial in trials.items()
        ]

    def ensemble(self, folds: Sequence[int]) -> list[Job]:
        """Two more local-only models: with the short recipe's as many as an ensemble has."""
        return [
            Job("ensemble", "ensemble", "local-only", "local-only",
                Trial(replace(self.short, seed=seed)), fold, name, (name,),
                same_as=((SHORT_FOLDER, "local-only"),))
            for fold in folds
            for name in self.hospitals
            for seed in (1, 2)
        ]  # fmt: skip

    def pooled(self, folds: Sequence[int]) -> list[Job]:
        """Everything in one place, as many steps as all hospitals together take."""
        return [self._pooled("pooled", SHORT_FOLDER, Trial(self.short), fold) for fold in folds]

    def recommended_pooled(self, folds: Sequence[int]) -> list[Job]:
        """The same by the recommended recipe."""
        part, trial = "recommended-pooled", Trial(self.longer)
        return [
            replace(self._pooled(part, RECOMMENDED_FOLDER, trial, fold), views=True)
            for fold in folds
        ]

    def _pooled(self, part: str, folder: str, trial: Trial, fold: int) -> Job:
        return Job(part, folder, "pooled", "pooled", trial, fold, None, self.hospitals,
                   taking_part=len(self.hospitals))  # fmt: skip

    def networks(self, folds: Sequence[int]) -> list[Job]:
        """The twin local-only and federated; the textbook capsules local-only at one hospital."""
        twin, textbook = (Trial(self.short, network=name) for name in ("unet", "textbook"))
        first = self.hospitals[0]
        jobs = []
        for fold in folds:
            jobs.append(self._federated("networks", "networks", "unet-federated", twin, fold))
            jobs += [
                Job("networks", "networks", "local-only", "unet-local", twin, fold, name, (name,))
                for name in self.hospitals
            ]
            jobs.append(Job("networks", "networks", "local-only", "textbook-local", textbook, fold,
                            first, (first,)))  # fmt: skip
        return jobs

    def counts(self, folds: Sequence[int]) -> list[Job]:
        """3, 6 and 12 hospitals; 3 is everybody but the last one of the file."""
        trial, last = Trial(self.short), self.hospitals[-1]
        jobs = []
        for fold in folds:
            jobs.append(
                self._federated("counts", "counts", "hospitals3", trial, fold,
                                View(without=last), same_as=(("late", f"without-{last}"),))
            )  # fmt: skip
            for count in (6, 12):
                jobs.append(self._federated("counts", "counts", f"hospitals{count}", trial,
                                            fold, View(count=count)))  # fmt: skip
        return jobs

    def late(self, folds: Sequence[int]) -> list[Job]:
        """A hospital that has no part in any round, then fine-tunes; and as few local steps."""
        steps = max(self.short.adapt_steps, 1)
        few = Trial(replace(self.short, rounds=1, local_steps=steps, adapt_steps=0))
        jobs = []
        for fold in folds:
            for name in self.latecomers:
                last = name == self.hospitals[-1]
                tag = f"without-{name}"
                # Two holders of masks of three hospitals are too few for the ledger's rule: their
                # decoder would not be shared at all. Floats have no such rule.
                trial = Trial(self.short, floats=not last)
                again = (("counts", "hospitals3"),) if last else ()
                jobs.append(self._federated("late", "late", tag, trial, fold,
                                            View(without=name), same_as=again))  # fmt: skip
                jobs.append(Job("late", "late", "fine-tuned", f"joined-{name}", trial, fold,
                                name, (name,), starts_from=tag))  # fmt: skip
                jobs.append(Job("late", "late", "local-only", "few-local", few, fold, name,
                                (name,)))  # fmt: skip
        return jobs

    @property
    def latecomers(self) -> tuple[str, ...]:
        """Hospitals that are left out in turn: the last of the file, then the second."""
        return tuple(dict.fromkeys((self.hospitals[-1], self.hospitals[1])))

    def rounds(self, folds: Sequence[int]) -> list[Job]:
        """Rounds x local steps, at equal steps and at equal bytes; one is the short recipe's."""
        trials = {
            f"{rounds}x{steps}": Trial(replace(self.short, rounds=rounds, local_steps=steps))
            for rounds, steps in self.rounds_and_steps
            if (rounds, steps) != (self.short.rounds, self.short.local_steps)
        }
        return self._variants("rounds", trials, folds)

    @property
    def rounds_and_steps(self) -> tuple[tuple[int, int], ...]:
        """The pairs: half and double the steps of a round; the same with as many rounds."""
        rounds, steps = self.short.rounds, self.short.local_steps
        half, few = max(steps // 2, 1), max(rounds // 2, 1)
        pairs = ((few, 2 * steps), (rounds, steps), (2 * rounds, half), (rounds, half),
                 (rounds, 2 * steps))  # fmt: skip
        return tuple(dict.fromkeys(pairs))

    def faults(self, folds: Sequence[int]) -> list[Job]:
        """A hospital without its masks; wrong labels at one."""
        jobs = []
        for fold in folds:
            wrong = View(wrong_labels=self.hospitals[1])
            jobs.append(self._federated("faults", "faults", "wrong-labels", Trial(self.short), fold,
                                        wrong))  # fmt: skip
            # As above: two holders of masks of four are too few for the ledger's rule.
            withheld = View(masks_withheld=self.without_masks)
            floats = Trial(self.short, floats=True)
            jobs.append(self._federated("faults", "faults", "masks-withheld", floats, fold,
                                        withheld))  # fmt: skip
        return jobs

    @property
    def without_masks(self) -> str:
        """The hospital whose masks are withheld: the last but one of the file."""
        return self.hospitals[-2]

    def personal(self, folds: Sequence[int]) -> list[Job]:
        """Layers that stay at their hospital: those of the classes, or all routed ones."""
        jobs = []
        for fold in folds:
            for tag, layers in KEPT.items():
                trial = Trial(self.short, personal=layers)
                jobs.append(self._federated("personal", "personal", tag, trial, fold))
                jobs += [
                    Job("personal", "personal", "fine-tuned", f"{tag}-tuned", trial, fold,
                        name, (name,), starts_from=tag)
                    for name in self.hospitals
                    if tag == "trunk"
                ]  # fmt: skip
        return jobs

    def _federated(
        self,
        part: str,
        folder: str,
        tag: str,
        trial: Trial,
        fold: int,
        view: View | None = None,
        **more: Any,
    ) -> Job:
        view = view or View()
        count = view.count or len(self.hospitals) - (view.without is not None)
        return Job(part, folder, "federated", tag, trial, fold, None, self.hospitals,
                   taking_part=count, view=view, **more)  # fmt: skip


JobsOfPart = Callable[[Plan, Sequence[int]], list[Job]]
#: The parts in the order of their running, each with the folds it takes by default.
PARTS: dict[str, tuple[tuple[int, ...], JobsOfPart]] = {
    "short": (FOLDS, lambda plan, folds: plan.headline(0, folds)),
    "recommended": (ONE, Plan.recommended),
    "recommended-pooled": (ONE, Plan.recommended_pooled),
    "widths": (ONE, Plan.widths),
    "normalisation": (ONE, Plan.normalisation),
    "personal": (ONE, Plan.personal),
    "ensemble": ((0, 1), Plan.ensemble),
    "pooled": (FOLDS, Plan.pooled),
    "networks": (ONE, Plan.networks),
    "counts": (ONE, Plan.counts),
    "late": (ONE, Plan.late),
    "rounds": (ONE, Plan.rounds),
    "faults": (ONE, Plan.faults),
    "second-seed": (FOLDS, lambda plan, folds: plan.headline(1, folds)),
}


def jobs_of(plan: Plan, only: Sequence[str] = (), folds: Sequence[int] | None = None) -> list[Job]:
    """Return jobs in the order of their running.

    Args:
        plan: Hospitals and recipe.
        only: Parts; none means all.
        folds: With parts named, exactly these; otherwise the parts' own among these.
    """
    jobs = []
    for part, (default, make) in PARTS.items():
        if only and part not in only:
            continue
        mine: Sequence[int] = default
        if folds is not None:
            mine = folds if only else [each for each in default if each in folds]
        jobs += make(plan, mine)
    return jobs
