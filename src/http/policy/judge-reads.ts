import { isFieldName } from '../../http-semantics/fields/field-name.js';
import { isCovered, type Covers, type InputName } from './input-name.js';
import { CREDENTIAL_HEADERS, HARMLESS_HEADERS } from './input-lists.js';

export type Judgement =
  /** The response may be stored as one of several, which differ in these request headers (lower-case, sorted; often none), and, if it is contextual, by whether it comes with contexts. */
  | { readonly vary: readonly string[]; readonly isContextual?: true }
  /** It must not be stored: `input` was read, and nothing in the key tells its values apart. */
  | { readonly refuse: 'credentials' | 'unkeyed'; readonly input: InputName };

/**
 * What a handler's reads mean for its response (learned variants; `reference/http.md` K6). Headers that no part of the key covers become part
 * of the key. Credentials, cookies, and anything that is no header, do not: the policy must declare them.
 * @param ignored inputs that do not change the response, by `autoVary.ignore`
 */
export function judgeReads(
  reads: Iterable<InputName>,
  covers: Covers,
  ignored: ReadonlySet<string> = new Set(),
): Judgement {
  const vary = new Set<string>();
  let isContextual = false;
  for (const input of reads) {
    if (input === 'no-context') {
      isContextual = true;
      continue;
    }
    if (ignored.has(input) || isCovered(input, covers)) continue;
    const header = input.startsWith('header:') ? input.slice('header:'.length) : undefined;
    if (header !== undefined && HARMLESS_HEADERS.has(header)) continue;
    if (header === 'cookie' || input.startsWith('cookie:')) {
      if (!covers.isPrincipal) return { refuse: 'credentials', input };
      // Of one and the same user, but perhaps of another device.
      vary.add('cookie');
    } else if (header === undefined || header === '*' || !isFieldName(header)) {
      return { refuse: isCredential(input) ? 'credentials' : 'unkeyed', input };
    } else if (CREDENTIAL_HEADERS.has(header)) return { refuse: 'credentials', input };
    else vary.add(header);
  }
  return { vary: [...vary].sort(), ...(isContextual && { isContextual }) };
}

function isCredential(input: InputName): boolean {
  return input === 'request:user' || input === 'request:session' || input === 'request:auth';
}
