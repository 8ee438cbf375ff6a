/** The most hits there can be: always give up the key that is needed last, be it the one that has just come. */
export function beladyHits(trace, maxEntries) {
  const nextUse = new Array(trace.length);
  const seen = new Map();
  for (let at = trace.length - 1; at >= 0; at--) {
    // Keys that never come again still need distinct positions.
    nextUse[at] = seen.get(trace[at]) ?? trace.length + at;
    seen.set(trace[at], at);
  }
  const held = new Map();
  const keyAt = new Map();
  const latest = new MaxHeap();
  let hits = 0;
  trace.forEach((key, at) => {
    const next = nextUse[at];
    if (held.has(key)) hits++;
    held.set(key, next);
    keyAt.delete(at);
    keyAt.set(next, key);
    latest.push(next);
    while (held.size > maxEntries) {
      const last = latest.pop();
      const victim = keyAt.get(last);
      if (victim !== undefined && keyAt.delete(last)) held.delete(victim);
    }
  });
  return hits;
}

class MaxHeap {
  #items = [];

  push(item) {
    const items = this.#items;
    let at = items.push(item) - 1;
    for (let up = (at - 1) >> 1; at > 0 && items[up] < item; up = (at - 1) >> 1) {
      items[at] = items[up];
      at = up;
    }
    items[at] = item;
  }

  pop() {
    const items = this.#items;
    const top = items[0];
    const moved = items.pop();
    const { length } = items;
    let at = 0;
    for (let down = 1; down < length; down = 2 * at + 1) {
      if (down + 1 < length && items[down + 1] > items[down]) down++;
      if (items[down] <= moved) break;
      items[at] = items[down];
      at = down;
    }
    if (length > 0) items[at] = moved;
    return top;
  }
}
