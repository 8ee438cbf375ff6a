/** A step into a value: a property, an index, or a described place such as an item of a Map. */
export type PathStep = string | number | { readonly place: string };

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const LONGEST_KEY = 60;
const SHOWN_AT_EACH_END = 8;

/**
 * Writes a path as one would in code, cut short where it is long.
 * @example formatPath(['items', 3, 'a.b']) // 'value.items[3]["a.b"]'
 */
export function formatPath(steps: readonly PathStep[]): string {
  if (steps.length <= 2 * SHOWN_AT_EACH_END) return 'value' + steps.map(formatStep).join('');
  const head = steps.slice(0, SHOWN_AT_EACH_END).map(formatStep).join('');
  const tail = steps.slice(-SHOWN_AT_EACH_END).map(formatStep).join('');
  return `value${head}(…)${tail}`;
}

function formatStep(step: PathStep): string {
  if (typeof step === 'number') return `[${step}]`;
  if (typeof step === 'object') return `<${step.place}>`;
  const key = step.length > LONGEST_KEY ? `${step.slice(0, LONGEST_KEY)}…` : step;
  return IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
