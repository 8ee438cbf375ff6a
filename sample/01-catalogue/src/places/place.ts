/** What a client sees of a place. */
export interface Place {
  readonly id: number;
  readonly name: string;
  readonly country: string;
  readonly region: string;
  readonly population: number;
  readonly latitude: number;
  readonly longitude: number;
}

export interface PlaceDetail extends Place {
  /** Position by population, from 1. */
  readonly rank: { readonly inCountry: number; readonly inWorld: number };
  readonly nearest: ReadonlyArray<Place & { readonly distanceKm: number }>;
}

export interface PlaceQuery {
  readonly q: string;
  /** ISO 3166 code, or empty for all. */
  readonly country: string;
  readonly sort: 'relevance' | 'population' | 'name';
  /** From 1. */
  readonly page: number;
}

export interface PlacePage {
  readonly total: number;
  readonly page: number;
  readonly pages: number;
  /** Where most of the matches are. */
  readonly countries: ReadonlyArray<{ readonly country: string; readonly places: number }>;
  /** Names spelt most like the query: "did you mean ...?" */
  readonly similar: readonly string[];
  readonly places: readonly Place[];
}
