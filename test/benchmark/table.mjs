const WIDTH = 34;
const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function heading(title) {
  console.log(`\n${title}`);
}

/** One contestant: what it did, ours as a multiple of it, and whether that is enough. */
export function row({ name, perSecond, cpu, bytes, ratio, target, bytesBelow }) {
  const cells = [
    name.padEnd(WIDTH),
    `${number.format(perSecond)}/s`.padStart(14),
    `${cpu.toFixed(2)} us CPU`.padStart(14),
  ];
  if (bytes !== undefined) cells.push(`${number.format(bytes)} B`.padStart(9));
  cells.push(`ours x${ratio.toFixed(2)}`.padStart(12));
  if (target !== undefined) cells.push(verdict(`at least x${target}`, ratio >= target));
  if (bytesBelow !== undefined) cells.push(verdict(`below ${bytesBelow} B`, bytes < bytesBelow));
  console.log(`  ${cells.join(' ')}`);
}

/** A figure that is no race. */
export function fact(name, figure, target, isMet) {
  console.log(`  ${name.padEnd(WIDTH)} ${figure.padStart(42)} ${target === undefined ? '' : verdict(target, isMet)}`);
}

function verdict(target, isMet) {
  return ` (${target}: ${isMet ? 'ok' : 'SHORT'})`;
}
