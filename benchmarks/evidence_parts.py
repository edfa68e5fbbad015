"""The list of everything the evidence compares: which cells belong to which part, in what order.

Plain values, no data and no TensorFlow: what is missing, what it costs in steps and what a table
needs can be told without opening anything. A cell is the file `folder/r<rotation>s<seed>/
<tag>-<hospital>.json` in the cache; a job makes the cells of one thing that is trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peer_client.simulation.recipe import Recipe

#: The headline: 160 federated and 80 adapting steps a hospital, and 240 alone: five rotations and
#: everything that is compared with it fit into the time.
HEADLINE = Recipe(rounds=10, local_steps=16, adapt_steps=80, bits=8)
#: What is recommended (`hospital-client simulate`): four times as long.
RECOMMENDED = Recipe()
#: Folder of the headline's cells, which the other parts are held against.
HEADLINE_FOLDER = "main"
RECOMMENDED_FOLDER = "recommended"
ROTATIONS = (0, 1, 2, 3, 4)
ONE = (0,)
#: Layers that are not averaged, by the name of the variant.
KEPT = {
    "classes": ("class_capsules", "auxiliary"),
    "trunk": ("deep_capsules", "class_capsules", "auxiliary"),
}
#: Steps of the textbook layer take this many times as long (benchmarks/training.py measures it).
TEXTBOOK_SLOWER = 7


@dataclass(frozen=True)
class View:
    """What of a rotation's training data a federation sees; test patients stay whole.

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
        folder: Folder of the part's cells in the cache.
        kind: "floor", "alone", "federated", "adapted" or "central".
        tag: First half of its cells' names.
        recipe: How it is trained.
        rotation: Of the patient folds.
        trained_at: The hospital that trains it; None where all do.
        readers: Hospitals whose test patients it is read on.
        taking_part: How many hospitals take steps.
        view: What it sees of the training data.
        starts_from: Tag of the cell whose weights an adaptation starts from.
        same_as: Folder and tag of other cells that are the same thing: copied if they are there.
        curve: Whether validation patients are read every second round.
        views: Whether patients of few slices are read in several views, as served models read.
    """

    part: str
    folder: str
    kind: str
    tag: str
    recipe: Recipe
    rotation: int
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
        """Return rotation and seed as the cache's folders are called."""
        return f"r{self.rotation}s{self.recipe.seed}"

    @property
    def name(self) -> str:
        """Return one name for locks and logs; every job's differs."""
        at = f"-{self.trained_at}" if self.trained_at else ""
        return f"{self.folder}-{self.place}-{self.tag}{at}"

    def cells(self, cache: Path) -> list[Path]:
        """Return the files it makes."""
        folder = cache / self.folder / self.place
        return [folder / f"{self.tag}-{name}.json" for name in self.readers]

    def needs(self, cache: Path) -> Path | None:
        """Return the file of weights that must be there before it can begin."""
        if self.starts_from is None:
            return None
        folder = cache / self.folder / self.place
        return folder / f"{self.starts_from}-{self.trained_at}.npz"

    def is_done(self, cache: Path) -> bool:
        """Return whether all its cells are there, read as it reads."""
        return all(self.has_read(path) for path in self.cells(cache))

    def has_read(self, path: Path) -> bool:
        """Return whether a cell is there and was read as this job reads."""
        return path.exists() and (not self.views or json.loads(path.read_text()).get("views", 0))

    @property
    def steps(self) -> int:
        """Return the training steps that it takes, over all hospitals."""
        each = {
            "floor": 0,
            "alone": self.recipe.steps,
            "federated": self.recipe.federated_steps,
            "adapted": self.recipe.adapt_steps,
            "central": self.recipe.steps,
        }[self.kind]
        return each * self.taking_part


@dataclass(frozen=True)
class Plan:
    """Makes the jobs of each part for the hospitals of a file.

    Attributes:
        hospitals: Names in the order of the file.
        recipe: The headline's.
        longer: The recommended one.
    """

    hospitals: tuple[str, ...]
    recipe: Recipe = HEADLINE
    longer: Recipe = RECOMMENDED

    def headline(self, seed: int, rotations: Sequence[int]) -> list[Job]:
        """Floor, federated, alone, adapted, rotation by rotation."""
        recipe = replace(self.recipe, seed=seed)
        part = "headline" if seed == 0 else "second-seed"
        jobs = []
        for rotation in rotations:
            if seed == 0:
                jobs.append(Job(part, HEADLINE_FOLDER, "floor", "floor", recipe, rotation, None,
                                self.hospitals))  # fmt: skip
            again = (("ensemble", "alone"),) if seed else ()
            jobs += self._models(part, HEADLINE_FOLDER, recipe, rotation, again)
        return jobs

    def recommended(self, rotations: Sequence[int]) -> list[Job]:
        """The same three models by the recommended recipe, read as what is served reads."""
        return [
            replace(job, views=True)
            for rotation in rotations
            for job in self._models("recommended", RECOMMENDED_FOLDER, self.longer, rotation)
        ]

    def _models(
        self,
        part: str,
        folder: str,
        recipe: Recipe,
        rotation: int,
        again: tuple[tuple[str, str], ...] = (),
    ) -> list[Job]:
        """The federated model, those trained alone, and the adapted ones."""
        jobs = [self._federated(part, folder, "federated", recipe, rotation,
                                curve=recipe.seed == 0)]  # fmt: skip
        for name in self.hospitals:
            jobs.append(Job(part, folder, "alone", "alone", recipe, rotation, name, (name,),
                            same_as=again))  # fmt: skip
        for name in self.hospitals:
            jobs.append(Job(part, folder, "adapted", "adapted", recipe, rotation, name, (name,),
                            starts_from="federated"))  # fmt: skip
        return jobs

    def widths(self, rotations: Sequence[int]) -> list[Job]:
        """4, 6 and 12 bits and float; 8 is the headline's."""
        return [
            self._federated("widths", "widths", tag, replace(self.recipe, bits=bits), rotation)
            for rotation in rotations
            for tag, bits in (("bits4", 4), ("float", None), ("bits6", 6), ("bits12", 12))
        ]

    def normalisation(self, rotations: Sequence[int]) -> list[Job]:
        """Neither step, the spatial one, the signal one; both is the headline's."""
        return [
            self._federated(
                "normalisation",
                "normalisation",
                tag,
                replace(self.recipe, spatial=spatial, signal=signal),
                rotation,
            )
            for rotation in rotations
            for tag, spatial, signal in (
                ("off", False, False),
                ("spatial", True, False),
                ("signal", False, True),
            )
        ]

    def ensemble(self, rotations: Sequence[int]) -> list[Job]:
        """Two more models trained alone: with the headline's as many as a mixture has."""
        return [
            Job("ensemble", "ensemble", "alone", "alone", replace(self.recipe, seed=seed),
                rotation, name, (name,), same_as=((HEADLINE_FOLDER, "alone"),))
            for rotation in rotations
            for name in self.hospitals
            for seed in (1, 2)
        ]  # fmt: skip

    def central(self, rotations: Sequence[int]) -> list[Job]:
        """Everything in one place, as many steps as all hospitals together take."""
        return [
            self._central("central", HEADLINE_FOLDER, self.recipe, rotation)
            for rotation in rotations
        ]

    def recommended_central(self, rotations: Sequence[int]) -> list[Job]:
        """The same by the recommended recipe."""
        part = "recommended-central"
        return [
            replace(self._central(part, RECOMMENDED_FOLDER, self.longer, rotation), views=True)
            for rotation in rotations
        ]

    def _central(self, part: str, folder: str, recipe: Recipe, rotation: int) -> Job:
        return Job(part, folder, "central", "central", recipe, rotation, None, self.hospitals,
                   taking_part=len(self.hospitals))  # fmt: skip

    def networks(self, rotations: Sequence[int]) -> list[Job]:
        """The twin alone and federated; the textbook capsules alone at the first hospital."""
        twin, textbook = (replace(self.recipe, network=kind) for kind in ("unet", "textbook"))
        jobs = []
        for rotation in rotations:
            jobs.append(self._federated("networks", "networks", "unet-federated", twin, rotation))
            jobs += [
                Job("networks", "networks", "alone", "unet-alone", twin, rotation, name, (name,))
                for name in self.hospitals
            ]
            first = self.hospitals[0]
            jobs.append(Job("networks", "networks", "alone", "textbook-alone", textbook, rotation,
                            first, (first,)))  # fmt: skip
        return jobs

    def counts(self, rotations: Sequence[int]) -> list[Job]:
        """3, 6 and 12 hospitals; 3 is everybody but the last one of the file."""
        jobs = []
        for rotation in rotations:
            last = self.hospitals[-1]
            jobs.append(
                self._federated("counts", "counts", "hospitals3", self.recipe, rotation,
                                View(without=last), same_as=(("late", f"without-{last}"),))
            )  # fmt: skip
            for count in (6, 12):
                jobs.append(self._federated("counts", "counts", f"hospitals{count}", self.recipe,
                                            rotation, View(count=count)))  # fmt: skip
        return jobs

    def late(self, rotations: Sequence[int]) -> list[Job]:
        """A hospital that has no part in any round, then adapts; and as few steps alone."""
        few = replace(self.recipe, rounds=1, local_steps=max(self.recipe.adapt_steps, 1),
                      adapt_steps=0)  # fmt: skip
        jobs = []
        for rotation in rotations:
            for name in self.latecomers:
                last = name == self.hospitals[-1]
                tag = f"without-{name}"
                # Two holders of masks of three hospitals are too few for the ledger's rule: their
                # decoder would not be shared at all. Floats have no such rule.
                recipe = self.recipe if last else replace(self.recipe, bits=None)
                again = (("counts", "hospitals3"),) if last else ()
                jobs.append(self._federated("late", "late", tag, recipe, rotation,
                                            View(without=name), same_as=again))  # fmt: skip
                jobs.append(Job("late", "late", "adapted", f"joined-{name}", recipe, rotation,
                                name, (name,), starts_from=tag))  # fmt: skip
                jobs.append(Job("late", "late", "alone", "few-alone", few, rotation, name, (name,)))
        return jobs

    @property
    def latecomers(self) -> tuple[str, ...]:
        """Hospitals that are left out in turn: the last of the file, then the second."""
        return tuple(dict.fromkeys((self.hospitals[-1], self.hospitals[1])))

    def rounds(self, rotations: Sequence[int]) -> list[Job]:
        """Rounds x local steps, at equal steps and at equal bytes; one of them the headline's."""
        return [
            self._federated("rounds", "rounds", f"{rounds}x{steps}",
                            replace(self.recipe, rounds=rounds, local_steps=steps), rotation)
            for rotation in rotations
            for rounds, steps in self.rounds_and_steps
            if (rounds, steps) != (self.recipe.rounds, self.recipe.local_steps)
        ]  # fmt: skip

    @property
    def rounds_and_steps(self) -> tuple[tuple[int, int], ...]:
        """The pairs: half and double the steps of a round; the same with as many rounds."""
        rounds, steps = self.recipe.rounds, self.recipe.local_steps
        half, few = max(steps // 2, 1), max(rounds // 2, 1)
        pairs = ((few, 2 * steps), (rounds, steps), (2 * rounds, half), (rounds, half),
                 (rounds, 2 * steps))  # fmt: skip
        return tuple(dict.fromkeys(pairs))

    def faults(self, rotations: Sequence[int]) -> list[Job]:
        """A hospital without its masks; wrong labels at one."""
        jobs = []
        for rotation in rotations:
            at = self.hospitals[1]
            jobs.append(self._federated("faults", "faults", "wrong-labels", self.recipe, rotation,
                                        View(wrong_labels=at)))  # fmt: skip
            # As above: two holders of masks of four are too few for the ledger's rule.
            floats = replace(self.recipe, bits=None)
            jobs.append(self._federated("faults", "faults", "masks-withheld", floats, rotation,
                                        View(masks_withheld=self.without_masks)))  # fmt: skip
        return jobs

    @property
    def without_masks(self) -> str:
        """The hospital whose masks are withheld: the last but one of the file."""
        return self.hospitals[-2]

    def personal(self, rotations: Sequence[int]) -> list[Job]:
        """Layers that stay at their hospital: those of the classes, or all routed ones."""
        jobs = []
        for rotation in rotations:
            for tag, layers in KEPT.items():
                recipe = replace(self.recipe, personal=layers)
                jobs.append(self._federated("personal", "personal", tag, recipe, rotation))
                jobs += [
                    Job("personal", "personal", "adapted", f"{tag}-adapted", recipe, rotation,
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
        recipe: Recipe,
        rotation: int,
        view: View | None = None,
        **more: Any,
    ) -> Job:
        view = view or View()
        count = view.count or len(self.hospitals) - (view.without is not None)
        return Job(part, folder, "federated", tag, recipe, rotation, None, self.hospitals,
                   taking_part=count, view=view, **more)  # fmt: skip


JobsOfPart = Callable[[Plan, Sequence[int]], list[Job]]
#: The parts in the order of their running, each with the rotations it takes by default.
PARTS: dict[str, tuple[tuple[int, ...], JobsOfPart]] = {
    "headline": (ROTATIONS, lambda plan, rotations: plan.headline(0, rotations)),
    "recommended": (ONE, Plan.recommended),
    "recommended-central": (ONE, Plan.recommended_central),
    "widths": (ONE, Plan.widths),
    "normalisation": (ONE, Plan.normalisation),
    "personal": (ONE, Plan.personal),
    "ensemble": ((0, 1), Plan.ensemble),
    "central": (ROTATIONS, Plan.central),
    "networks": (ONE, Plan.networks),
    "counts": (ONE, Plan.counts),
    "late": (ONE, Plan.late),
    "rounds": (ONE, Plan.rounds),
    "faults": (ONE, Plan.faults),
    "second-seed": (ROTATIONS, lambda plan, rotations: plan.headline(1, rotations)),
}


def jobs_of(
    plan: Plan, only: Sequence[str] = (), rotations: Sequence[int] | None = None
) -> list[Job]:
    """Return jobs in the order of their running.

    Args:
        plan: Hospitals and recipe.
        only: Parts; none means all.
        rotations: With parts named, exactly these; otherwise the parts' own among these.
    """
    jobs = []
    for part, (default, make) in PARTS.items():
        if only and part not in only:
            continue
        mine: Sequence[int] = default
        if rotations is not None:
            mine = rotations if only else [each for each in default if each in rotations]
        jobs += make(plan, mine)
    return jobs
