/** Whether nothing was saved for sure. After other errors, such as a lost connection, the database may have done what it was told. */
export function isRefusal(error: unknown): boolean {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  // P2xxx: the query engine's own checks, and what the database itself has refused.
  return (typeof code === 'string' && code.startsWith('P2')) || name === 'PrismaClientValidationError';
}
