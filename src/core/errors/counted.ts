/** A number and what it counts, for messages. @example counted(1, 'tag') // '1 tag' */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
