// What is known about votes, kept outside of the hubs: a vote is `ok` when it was answered 2xx, and `unknown` when the
// answer never came. At the end ok ⊆ read ⊆ ok ∪ unknown must hold.

export class Ledger {
  ok = new Map();
  unknown = new Map();
  meetings = [];

  /** Every way in which what was read contradicts what was answered. */
  objections(read) {
    const list = [];
    for (const [vote, score] of this.ok) {
      if (!read.has(vote)) list.push(`lost: ${vote}`);
      else if (read.get(vote) !== score) list.push(`changed: ${vote} from ${score} to ${read.get(vote)}`);
    }
    for (const [vote, score] of read) {
      if (this.ok.get(vote) !== score && this.unknown.get(vote) !== score) list.push(`never cast: ${vote} ${score}`);
    }
    return list;
  }
}
