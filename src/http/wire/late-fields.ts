import { sameValue, type HeaderChanges, type HeaderFields } from './header-fields.js';

/** Fields of a head on its way out that differ from what the application wrote, and what was `changed` of that here. */
export function lateFields(sent: HeaderFields, written: HeaderFields, changed: HeaderChanges): string[] {
  return Object.keys(sent).filter((name) => !isKnown(name, sent[name]!, written, changed));
}

function isKnown(
  name: string,
  value: string | readonly string[],
  written: HeaderFields,
  changed: HeaderChanges,
): boolean {
  const committed = Object.hasOwn(changed, name);
  const before = committed ? changed[name] : written[name];
  // Who may be given the response is not to be amended unnoticed; compression adds the coding.
  if (name === 'cache-control') return before !== undefined && sameValue(before, value);
  if (name === 'vary') return names(value).every((item) => item === 'accept-encoding' || names(before).includes(item));
  if (committed) return true;
  // A second cookie is as late as a first one; other fields may be amended.
  return before !== undefined && (name !== 'set-cookie' || sameValue(before, value));
}

function names(field: string | readonly string[] | undefined): string[] {
  return [field ?? []].flat().flatMap((line) =>
    line
      .toLowerCase()
      .split(',')
      .map((item) => item.trim()),
  );
}
