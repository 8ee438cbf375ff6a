export const KEY_COUNT = 500;

/** A record of about `size` bytes of JSON, as an API would return it. */
export function recordOf(size) {
  if (size < 1000)
    return { id: 4711, name: 'A thing of some kind', price: 12.5, inStock: true, tags: ['red', 'blue'], since: 2024 };
  const rows = [];
  for (let id = 0; JSON.stringify(rows).length < size; id++) {
    rows.push({
      id,
      name: `Item number ${id}`,
      price: id * 1.25,
      inStock: id % 3 === 0,
      tags: ['red', 'blue'],
      note: 'shipped within two days',
    });
  }
  return rows;
}
