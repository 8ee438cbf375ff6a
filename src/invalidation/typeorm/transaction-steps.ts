/** What one statement does to the transaction of its connection. */
export type TransactionStep = 'begin' | 'commit' | 'rollback' | 'other';

const BEGINS = /^(?:begin|start\s+transaction)\b/i;
const COMMITS = /^(?:commit|end)\b/i;
const ROLLS_BACK = /^(?:rollback|abort)\b(?!\s+(?:(?:work|transaction)\s+)?to\b)/i;
const COMMENTS = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;
const QUOTED = /'[^']*'|"[^"]*"|`[^`]*`|\$(\w*)\$[\s\S]*?\$\1\$/g;
/** The statements of a routine are none of the transaction's. */
const ROUTINE = /^(?:create|alter)\b/i;

/**
 * The steps of a text that is sent to the database, in order: most are one statement, and some are scripts with a transaction of their own.
 * It does not parse SQL: a semicolon in a comment may make one step too many, of which only invalidations come that need not have been.
 */
export function transactionSteps(text: string): TransactionStep[] {
  if (!text.includes(';') || ROUTINE.test(text.replace(COMMENTS, ''))) return [stepOf(text)];
  const steps = text
    .replace(QUOTED, "''")
    .split(';')
    .filter((statement) => statement.replace(COMMENTS, '') !== '')
    .map(stepOf);
  return steps.length === 0 ? ['other'] : steps;
}

function stepOf(statement: string): TransactionStep {
  const text = statement.replace(COMMENTS, '');
  if (BEGINS.test(text)) return 'begin';
  if (COMMITS.test(text)) return 'commit';
  return ROLLS_BACK.test(text) ? 'rollback' : 'other';
}
