'use client'
import { usePathname } from 'next/navigation'
import { Icon, Mark, type IconName } from '@/components/icons'
import { Link } from '@/components/link'
import { ConnectionMark } from './connection'
import { ThemeMenu } from './theme'

const PAGES: readonly { href: string; word: string; icon: IconName }[] = [
  { href: '/', word: 'Overview', icon: 'overview' },
  { href: '/sources/', word: 'Applications', icon: 'apps' },
  { href: '/destinations/', word: 'Destinations', icon: 'send' },
]

export function Header() {
  const path = usePathname()
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-surface">
      <div className="mx-auto flex max-w-6xl flex-wrap items-center gap-x-6 px-4 sm:px-6">
        <Link href="/" className="flex h-14 items-center gap-2.5 font-semibold tracking-tight" aria-label="odigos-cp: overview">
          <Mark />
          <span>odigos-cp</span>
        </Link>
        <nav aria-label="Pages" className="max-sm:order-last max-sm:-mx-4 max-sm:w-[calc(100%+2rem)] max-sm:border-t max-sm:border-line">
          <ul className="flex gap-1 max-sm:justify-around">
            {PAGES.map(({ href, word, icon }) => {
              const here = href === '/' ? path === '/' : path.startsWith(href)
              return (
                <li key={href}>
                  <Link
                    href={href}
                    aria-current={here ? 'page' : undefined}
                    className={
                      'flex h-11 items-center gap-2 border-b-2 px-2.5 text-sm font-medium transition-colors sm:h-14 ' +
                      (here ? 'border-accent text-text' : 'border-transparent text-muted hover:text-text')
                    }
                  >
                    <Icon name={icon} className="size-4 max-sm:hidden" />
                    {word}
                  </Link>
                </li>
              )
            })}
          </ul>
        </nav>
        <div className="ml-auto flex items-center gap-1">
          <ConnectionMark />
          <ThemeMenu />
        </div>
      </div>
    </header>
  )
}
