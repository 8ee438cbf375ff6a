import { Injectable } from '@nestjs/common';
import { Gazetteer, type IndexedPlace } from './gazetteer.js';
import { editDistance, fold, score } from './match.js';
import type { PlacePage, PlaceQuery } from './place.js';

const PAGE_SIZE = 20;
const TOP_COUNTRIES = 10;
const SIMILAR = 5;

interface Match extends IndexedPlace {
  readonly score: number;
}

/** Looks at every place for every query: what is expensive, and so worth caching. */
@Injectable()
export class PlaceSearch {
  private readonly collator = new Intl.Collator('en', { sensitivity: 'base', numeric: true });

  constructor(private readonly gazetteer: Gazetteer) {}

  search({ q, country, sort, page }: PlaceQuery): PlacePage {
    const folded = fold(q);
    const matches = this.matches(folded, country).sort(this.order(sort));
    const start = (page - 1) * PAGE_SIZE;
    return {
      total: matches.length,
      page,
      pages: Math.ceil(matches.length / PAGE_SIZE),
      countries: topCountries(matches),
      similar: folded === '' ? [] : this.similar(folded, country),
      places: matches.slice(start, start + PAGE_SIZE).map(({ place }) => place),
    };
  }

  private matches(query: string, country: string): Match[] {
    const matches: Match[] = [];
    for (const { place, folded } of this.gazetteer.all) {
      if (country !== '' && place.country !== country) continue;
      const points = query === '' ? 1 : score(folded, query);
      if (points > 0) matches.push({ place, folded, score: points });
    }
    return matches;
  }

  /** The most populous of the places whose names are nearest to the query. */
  private similar(query: string, country: string): string[] {
    const near = this.gazetteer.all
      .filter(({ place }) => country === '' || place.country === country)
      .map(({ place, folded }) => ({ place, distance: editDistance(folded, query) }))
      .filter(({ distance }) => distance > 0)
      .sort((a, b) => a.distance - b.distance || b.place.population - a.place.population);
    return [...new Set(near.slice(0, SIMILAR * 4).map(({ place }) => place.name))].slice(0, SIMILAR);
  }

  private order(sort: PlaceQuery['sort']): (a: Match, b: Match) => number {
    const byPopulation = (a: Match, b: Match): number =>
      b.place.population - a.place.population || a.place.id - b.place.id;
    switch (sort) {
      case 'population':
        return byPopulation;
      case 'name':
        return (a, b) => this.collator.compare(a.place.name, b.place.name) || byPopulation(a, b);
      case 'relevance':
        return (a, b) => b.score - a.score || byPopulation(a, b);
    }
  }
}

function topCountries(matches: readonly Match[]): PlacePage['countries'] {
  const counts = new Map<string, number>();
  for (const { place } of matches) counts.set(place.country, (counts.get(place.country) ?? 0) + 1);
  return [...counts]
    .map(([country, places]) => ({ country, places }))
    .sort((a, b) => b.places - a.places)
    .slice(0, TOP_COUNTRIES);
}
