package stress

import (
	"math/rand/v2"
	"time"
)

// userKind is a sort of user: how many there are of them, and how long they
// think between two requests.
type userKind struct {
	name string
	// share of all users, in per cent.
	share            int
	shortest, longer time.Duration // thinking takes shortest + [0, longer)
}

// userKinds and how people of each work.
var userKinds = []userKind{
	{"guest", 80, time.Second, 4 * time.Second},
	{"power", 15, 2 * time.Second, 6 * time.Second},
	{"developer", 4, 5 * time.Second, 10 * time.Second},
	{"admin", 1, 10 * time.Second, 20 * time.Second},
}

// pickUser draws the kind of a user.
func pickUser(random *rand.Rand) *userKind {
	at := random.IntN(100)
	for i := range userKinds {
		if at < userKinds[i].share {
			return &userKinds[i]
		}
		at -= userKinds[i].share
	}
	panic("the shares are a hundred")
}

// think draws how long a user thinks; scale 1 is natural, 0 not at all.
func (k *userKind) think(random *rand.Rand, scale float64) time.Duration {
	return time.Duration(scale * float64(k.shortest+time.Duration(random.Int64N(int64(k.longer)))))
}
