import {
  ForbiddenException,
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';

export interface User {
  readonly id: string;
}

export interface UserRequest {
  headers: Record<string, string | undefined>;
  user?: User;
}

/** Stands for a real one: believes whoever says `x-user: <name>`. */
@Injectable()
export class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<UserRequest>();
    const id = request.headers['x-user'];
    if (id === undefined || !/^[a-z]{1,20}$/.test(id)) throw new UnauthorizedException('say who you are: x-user: ada');
    request.user = { id };
    return true;
  }
}

/** `x-user: admin`. */
@Injectable()
export class AdminGuard extends UserGuard {
  override canActivate(context: ExecutionContext): boolean {
    super.canActivate(context);
    if (context.switchToHttp().getRequest<UserRequest>().user?.id !== 'admin')
      throw new ForbiddenException('only x-user: admin may do this');
    return true;
  }
}
