import { Injectable, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';

interface Request {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: { readonly id: string };
}

/** Stands for your authentication: who asks says so in `x-learner`. */
@Injectable()
export class LearnerGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    const id = request.headers['x-learner'];
    if (!id || id.length > 100) throw new UnauthorizedException('say who you are: x-learner: <a name>');
    request.user = { id };
    return true;
  }
}
