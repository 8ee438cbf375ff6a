/**
 * What JSON text cannot say, kept beside it. The text holds `null` (or `0`) in the place of a special; the table says what belongs there,
 * so no string of the user's can ever be mistaken for a marker.
 *
 * - A {@link Branch} follows the containers of the text: keys (numbers in arrays, strings in objects) alternate with what lies below.
 * - A {@link Special} replaces the place it is reached at.
 *
 * `{ at: Date(5), list: [1n] }` is the text `{"at":null,"list":[null]}` and the table `["at",{"t":"d","v":5},"list",[0,{"t":"i","v":"1"}]]`.
 */
export type SideTable = Special | Branch;

export type Branch = Array<string | number | SideTable>;

/** `v` is JSON data of its own (the items of a Map, say), and `s` the side table of that data. */
export interface Special {
  readonly t: Tag;
  readonly v?: unknown;
  readonly s?: SideTable | undefined;
}

/** Part of the wire format: add, never change. */
export const TAG = {
  undefined: 'u',
  notANumber: 'n',
  infinity: '+',
  minusInfinity: '-',
  minusZero: '0',
  bigint: 'i',
  date: 'd',
  map: 'm',
  set: 's',
  binary: 'b',
  regexp: 'r',
  url: 'l',
  error: 'e',
} as const;

export type Tag = (typeof TAG)[keyof typeof TAG];

/** Containers within containers, deeper than any honest value. */
export const MAX_DEPTH = 500;
