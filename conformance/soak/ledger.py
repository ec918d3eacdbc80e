"""The ledger of token objects: what was announced and what was acknowledged, and so what must be on the token."""

WHOLE = {"k": 1, "m": 1, "p": 2, "d": 1}  # how many objects a label stands for, by its last letter


class Ledger:
    """By label; a label that is not here must not be on the token."""

    class Entry:
        __slots__ = ("made", "going", "versions")

        def __init__(self):
            self.made = False  # acknowledged
            self.going = False  # to be destroyed, which was not acknowledged
            self.versions = {0}

    def __init__(self):
        self.entries = {}
        self.acknowledged = 0  # creations, changes and destructions

    def note(self, words):
        what, label = words[0], words[1]
        if what == "create":
            self.entries[label] = self.Entry()
            return
        entry = self.entries.setdefault(label, self.Entry())
        if what == "created":
            entry.made = True
        elif what == "change":
            entry.versions.add(int(words[2]))
        elif what == "changed":
            entry.versions = {int(words[2])}
        elif what == "destroy":
            entry.going = True
        elif what in ("destroyed", "absent"):
            del self.entries[label]
        if what in ("created", "changed", "destroyed"):
            self.acknowledged += 1

    @property
    def certain(self):
        return sum(entry.made and not entry.going for entry in self.entries.values())

    def judge(self, found):
        """Compares with what the audit found: {label: [(class, version, is right)]}. Answers what is wrong, a line each."""
        wrong = []
        for label, entry in self.entries.items():
            objects = found.get(label, [])
            whole = WHOLE[label[-1]]
            counts = {whole} if entry.made else {0, whole}
            if entry.going:
                counts = set(range(whole + 1))
            if len(objects) not in counts:
                wrong.append(f"{label}: {len(objects)} objects of {whole} are there")
            if any(version not in entry.versions for _, version, _ in objects):
                wrong.append(f"{label}: has not the version that was acknowledged: {sorted(entry.versions)}, {objects}")
        for label, objects in found.items():
            if label not in self.entries:
                wrong.append(f"{label}: is there, and should not be")
            if not all(right for _, _, right in objects):
                wrong.append(f"{label}: its content is wrong")
        return wrong
