import { Injectable } from '@nestjs/common';
import { Gazetteer } from './gazetteer.js';
import type { Place, PlaceDetail } from './place.js';

const NEAREST = 10;
const EARTH_RADIUS_KM = 6371;

/** A place, how it ranks, and its nearest neighbours: one pass over all places. */
@Injectable()
export class PlaceDetails {
  constructor(private readonly gazetteer: Gazetteer) {}

  detail(id: number): PlaceDetail | undefined {
    const place = this.gazetteer.find(id);
    if (place === undefined) return undefined;
    let inWorld = 1;
    let inCountry = 1;
    const others: Array<{ other: Place; distanceKm: number }> = [];
    for (const { place: other } of this.gazetteer.all) {
      if (other.population > place.population) {
        inWorld++;
        if (other.country === place.country) inCountry++;
      }
      if (other.id !== id) others.push({ other, distanceKm: distanceKm(place, other) });
    }
    const nearest = others.sort((a, b) => a.distanceKm - b.distanceKm).slice(0, NEAREST);
    return {
      ...place,
      rank: { inCountry, inWorld },
      nearest: nearest.map(({ other, distanceKm }) => ({ ...other, distanceKm: Number(distanceKm.toFixed(1)) })),
    };
  }
}

/** Great-circle distance. */
function distanceKm(a: Place, b: Place): number {
  const radians = Math.PI / 180;
  const latitude = Math.sin(((b.latitude - a.latitude) * radians) / 2) ** 2;
  const longitude = Math.sin(((b.longitude - a.longitude) * radians) / 2) ** 2;
  const h = latitude + Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians) * longitude;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(h));
}
