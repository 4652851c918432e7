/* url_names.c - the names of HTML's character references (https://html.spec.whatwg.org/multipage/named-characters.html)
 * that can be part of a link: of ASCII, of letters, digits and marks of all scripts, and of what is not shown. A host
 * is mapped to plain letters later (url_host.c). All other names end a host, as what they stand for does.
 */
#include "url_inside.h"

#define BARE 0x80000000U /* understood without the semicolon too */
#define FJ 0x110000U     /* the one that is two letters */
#define LETTERS_MOST 24
#define BARE_MOST 6      /* letters of the longest of those */

static const struct {
    const char *name;
    uint32_t what; /* a code point; 0: it is not shown */
} names[] = { /* in the order of bytes */
    {"AElig", 0xc6 | BARE}, {"AMP", 0x26 | BARE}, {"Aacute", 0xc1 | BARE}, {"Abreve", 0x102}, {"Acirc", 0xc2 | BARE},
    {"Acy", 0x410}, {"Afr", 0x1d504}, {"Agrave", 0xc0 | BARE}, {"Alpha", 0x391}, {"Amacr", 0x100}, {"Aogon", 0x104},
    {"Aopf", 0x1d538}, {"ApplyFunction", 0}, {"Aring", 0xc5 | BARE}, {"Ascr", 0x1d49c}, {"Atilde", 0xc3 | BARE},
    {"Auml", 0xc4 | BARE}, {"Bcy", 0x411}, {"Bernoullis", 0x212c}, {"Beta", 0x392}, {"Bfr", 0x1d505},
    {"Bopf", 0x1d539}, {"Bscr", 0x212c}, {"CHcy", 0x427}, {"Cacute", 0x106}, {"CapitalDifferentialD", 0x2145},
    {"Cayleys", 0x212d}, {"Ccaron", 0x10c}, {"Ccedil", 0xc7 | BARE}, {"Ccirc", 0x108}, {"Cdot", 0x10a},
    {"CenterDot", 0xb7}, {"Cfr", 0x212d}, {"Chi", 0x3a7}, {"Copf", 0x2102}, {"Cscr", 0x1d49e}, {"DD", 0x2145},
    {"DJcy", 0x402}, {"DScy", 0x405}, {"DZcy", 0x40f}, {"Dcaron", 0x10e}, {"Dcy", 0x414}, {"Delta", 0x394},
    {"Dfr", 0x1d507}, {"DiacriticalGrave", 0x60}, {"DifferentialD", 0x2146}, {"Dopf", 0x1d53b}, {"DotDot", 0x20dc},
    {"DownBreve", 0x311}, {"Dscr", 0x1d49f}, {"Dstrok", 0x110}, {"ENG", 0x14a}, {"ETH", 0xd0 | BARE},
    {"Eacute", 0xc9 | BARE}, {"Ecaron", 0x11a}, {"Ecirc", 0xca | BARE}, {"Ecy", 0x42d}, {"Edot", 0x116},
    {"Efr", 0x1d508}, {"Egrave", 0xc8 | BARE}, {"Emacr", 0x112}, {"Eogon", 0x118}, {"Eopf", 0x1d53c},
    {"Epsilon", 0x395}, {"Escr", 0x2130}, {"Eta", 0x397}, {"Euml", 0xcb | BARE}, {"ExponentialE", 0x2147},
    {"Fcy", 0x424}, {"Ffr", 0x1d509}, {"Fopf", 0x1d53d}, {"Fouriertrf", 0x2131}, {"Fscr", 0x2131}, {"GJcy", 0x403},
    {"GT", 0x3e | BARE}, {"Gamma", 0x393}, {"Gammad", 0x3dc}, {"Gbreve", 0x11e}, {"Gcedil", 0x122}, {"Gcirc", 0x11c},
    {"Gcy", 0x413}, {"Gdot", 0x120}, {"Gfr", 0x1d50a}, {"Gopf", 0x1d53e}, {"Gscr", 0x1d4a2}, {"HARDcy", 0x42a},
    {"Hacek", 0x2c7}, {"Hat", 0x5e}, {"Hcirc", 0x124}, {"Hfr", 0x210c}, {"HilbertSpace", 0x210b}, {"Hopf", 0x210d},
    {"Hscr", 0x210b}, {"Hstrok", 0x126}, {"IEcy", 0x415}, {"IJlig", 0x132}, {"IOcy", 0x401}, {"Iacute", 0xcd | BARE},
    {"Icirc", 0xce | BARE}, {"Icy", 0x418}, {"Idot", 0x130}, {"Ifr", 0x2111}, {"Igrave", 0xcc | BARE}, {"Im", 0x2111},
    {"Imacr", 0x12a}, {"ImaginaryI", 0x2148}, {"InvisibleComma", 0}, {"InvisibleTimes", 0}, {"Iogon", 0x12e},
    {"Iopf", 0x1d540}, {"Iota", 0x399}, {"Iscr", 0x2110}, {"Itilde", 0x128}, {"Iukcy", 0x406}, {"Iuml", 0xcf | BARE},
    {"Jcirc", 0x134}, {"Jcy", 0x419}, {"Jfr", 0x1d50d}, {"Jopf", 0x1d541}, {"Jscr", 0x1d4a5}, {"Jsercy", 0x408},
    {"Jukcy", 0x404}, {"KHcy", 0x425}, {"KJcy", 0x40c}, {"Kappa", 0x39a}, {"Kcedil", 0x136}, {"Kcy", 0x41a},
    {"Kfr", 0x1d50e}, {"Kopf", 0x1d542}, {"Kscr", 0x1d4a6}, {"LJcy", 0x409}, {"LT", 0x3c | BARE}, {"Lacute", 0x139},
    {"Lambda", 0x39b}, {"Laplacetrf", 0x2112}, {"Lcaron", 0x13d}, {"Lcedil", 0x13b}, {"Lcy", 0x41b}, {"Lfr", 0x1d50f},
    {"Lmidot", 0x13f}, {"Lopf", 0x1d543}, {"Lscr", 0x2112}, {"Lstrok", 0x141}, {"Mcy", 0x41c}, {"Mellintrf", 0x2133},
    {"Mfr", 0x1d510}, {"Mopf", 0x1d544}, {"Mscr", 0x2133}, {"Mu", 0x39c}, {"NJcy", 0x40a}, {"Nacute", 0x143},
    {"Ncaron", 0x147}, {"Ncedil", 0x145}, {"Ncy", 0x41d}, {"NegativeMediumSpace", 0}, {"NegativeThickSpace", 0},
    {"NegativeThinSpace", 0}, {"NegativeVeryThinSpace", 0}, {"NewLine", 0xa}, {"Nfr", 0x1d511}, {"NoBreak", 0},
    {"NonBreakingSpace", 0x20}, {"Nopf", 0x2115}, {"Nscr", 0x1d4a9}, {"Ntilde", 0xd1 | BARE}, {"Nu", 0x39d},
    {"OElig", 0x152}, {"Oacute", 0xd3 | BARE}, {"Ocirc", 0xd4 | BARE}, {"Ocy", 0x41e}, {"Odblac", 0x150},
    {"Ofr", 0x1d512}, {"Ograve", 0xd2 | BARE}, {"Omacr", 0x14c}, {"Omega", 0x3a9}, {"Omicron", 0x39f},
    {"Oopf", 0x1d546}, {"Oscr", 0x1d4aa}, {"Oslash", 0xd8 | BARE}, {"Otilde", 0xd5 | BARE}, {"Ouml", 0xd6 | BARE},
    {"Pcy", 0x41f}, {"Pfr", 0x1d513}, {"Phi", 0x3a6}, {"Pi", 0x3a0}, {"Poincareplane", 0x210c}, {"Popf", 0x2119},
    {"Pscr", 0x1d4ab}, {"Psi", 0x3a8}, {"QUOT", 0x22 | BARE}, {"Qfr", 0x1d514}, {"Qopf", 0x211a}, {"Qscr", 0x1d4ac},
    {"Racute", 0x154}, {"Rcaron", 0x158}, {"Rcedil", 0x156}, {"Rcy", 0x420}, {"Re", 0x211c}, {"Rfr", 0x211c},
    {"Rho", 0x3a1}, {"Ropf", 0x211d}, {"Rscr", 0x211b}, {"SHCHcy", 0x429}, {"SHcy", 0x428}, {"SOFTcy", 0x42c},
    {"Sacute", 0x15a}, {"Scaron", 0x160}, {"Scedil", 0x15e}, {"Scirc", 0x15c}, {"Scy", 0x421}, {"Sfr", 0x1d516},
    {"Sigma", 0x3a3}, {"Sopf", 0x1d54a}, {"Sscr", 0x1d4ae}, {"THORN", 0xde | BARE}, {"TRADE", 0x2122},
    {"TSHcy", 0x40b}, {"TScy", 0x426}, {"Tab", 0x9}, {"Tau", 0x3a4}, {"Tcaron", 0x164}, {"Tcedil", 0x162},
    {"Tcy", 0x422}, {"Tfr", 0x1d517}, {"Theta", 0x398}, {"Topf", 0x1d54b}, {"TripleDot", 0x20db}, {"Tscr", 0x1d4af},
    {"Tstrok", 0x166}, {"Uacute", 0xda | BARE}, {"Ubrcy", 0x40e}, {"Ubreve", 0x16c}, {"Ucirc", 0xdb | BARE},
    {"Ucy", 0x423}, {"Udblac", 0x170}, {"Ufr", 0x1d518}, {"Ugrave", 0xd9 | BARE}, {"Umacr", 0x16a}, {"UnderBar", 0x5f},
    {"Uogon", 0x172}, {"Uopf", 0x1d54c}, {"Upsi", 0x3d2}, {"Upsilon", 0x3a5}, {"Uring", 0x16e}, {"Uscr", 0x1d4b0},
    {"Utilde", 0x168}, {"Uuml", 0xdc | BARE}, {"Vcy", 0x412}, {"VerticalLine", 0x7c}, {"Vfr", 0x1d519},
    {"Vopf", 0x1d54d}, {"Vscr", 0x1d4b1}, {"Wcirc", 0x174}, {"Wfr", 0x1d51a}, {"Wopf", 0x1d54e}, {"Wscr", 0x1d4b2},
    {"Xfr", 0x1d51b}, {"Xi", 0x39e}, {"Xopf", 0x1d54f}, {"Xscr", 0x1d4b3}, {"YAcy", 0x42f}, {"YIcy", 0x407},
    {"YUcy", 0x42e}, {"Yacute", 0xdd | BARE}, {"Ycirc", 0x176}, {"Ycy", 0x42b}, {"Yfr", 0x1d51c}, {"Yopf", 0x1d550},
    {"Yscr", 0x1d4b4}, {"Yuml", 0x178}, {"ZHcy", 0x416}, {"Zacute", 0x179}, {"Zcaron", 0x17d}, {"Zcy", 0x417},
    {"Zdot", 0x17b}, {"ZeroWidthSpace", 0}, {"Zeta", 0x396}, {"Zfr", 0x2128}, {"Zopf", 0x2124}, {"Zscr", 0x1d4b5},
    {"aacute", 0xe1 | BARE}, {"abreve", 0x103}, {"acirc", 0xe2 | BARE}, {"acy", 0x430}, {"aelig", 0xe6 | BARE},
    {"af", 0}, {"afr", 0x1d51e}, {"agrave", 0xe0 | BARE}, {"alefsym", 0x2135}, {"aleph", 0x2135}, {"alpha", 0x3b1},
    {"amacr", 0x101}, {"amp", 0x26 | BARE}, {"angst", 0xc5}, {"aogon", 0x105}, {"aopf", 0x1d552}, {"apos", 0x27},
    {"aring", 0xe5 | BARE}, {"ascr", 0x1d4b6}, {"ast", 0x2a}, {"atilde", 0xe3 | BARE}, {"auml", 0xe4 | BARE},
    {"bcy", 0x431}, {"bernou", 0x212c}, {"beta", 0x3b2}, {"beth", 0x2136}, {"bfr", 0x1d51f}, {"bopf", 0x1d553},
    {"bscr", 0x1d4b7}, {"bsol", 0x5c}, {"cacute", 0x107}, {"caron", 0x2c7}, {"ccaron", 0x10d}, {"ccedil", 0xe7 | BARE},
    {"ccirc", 0x109}, {"cdot", 0x10b}, {"centerdot", 0xb7}, {"cfr", 0x1d520}, {"chcy", 0x447}, {"chi", 0x3c7},
    {"circ", 0x2c6}, {"circledS", 0x24c8}, {"colon", 0x3a}, {"comma", 0x2c}, {"commat", 0x40}, {"complexes", 0x2102},
    {"copf", 0x1d554}, {"cscr", 0x1d4b8}, {"daleth", 0x2138}, {"dash", 0x2010}, {"dcaron", 0x10f}, {"dcy", 0x434},
    {"dd", 0x2146}, {"delta", 0x3b4}, {"dfr", 0x1d521}, {"digamma", 0x3dd}, {"djcy", 0x452}, {"dollar", 0x24},
    {"dopf", 0x1d555}, {"dscr", 0x1d4b9}, {"dscy", 0x455}, {"dstrok", 0x111}, {"dzcy", 0x45f}, {"eacute", 0xe9 | BARE},
    {"ecaron", 0x11b}, {"ecirc", 0xea | BARE}, {"ecy", 0x44d}, {"edot", 0x117}, {"ee", 0x2147}, {"efr", 0x1d522},
    {"egrave", 0xe8 | BARE}, {"ell", 0x2113}, {"emacr", 0x113}, {"eng", 0x14b}, {"eogon", 0x119}, {"eopf", 0x1d556},
    {"epsi", 0x3b5}, {"epsilon", 0x3b5}, {"epsiv", 0x3f5}, {"equals", 0x3d}, {"escr", 0x212f}, {"eta", 0x3b7},
    {"eth", 0xf0 | BARE}, {"euml", 0xeb | BARE}, {"excl", 0x21}, {"expectation", 0x2130}, {"exponentiale", 0x2147},
    {"fcy", 0x444}, {"ffilig", 0xfb03}, {"fflig", 0xfb00}, {"ffllig", 0xfb04}, {"ffr", 0x1d523}, {"filig", 0xfb01},
    {"fjlig", FJ}, {"fllig", 0xfb02}, {"fnof", 0x192}, {"fopf", 0x1d557}, {"frac12", 0xbd | BARE}, {"frac13", 0x2153},
    {"frac14", 0xbc | BARE}, {"frac15", 0x2155}, {"frac16", 0x2159}, {"frac18", 0x215b}, {"frac23", 0x2154},
    {"frac25", 0x2156}, {"frac34", 0xbe | BARE}, {"frac35", 0x2157}, {"frac38", 0x215c}, {"frac45", 0x2158},
    {"frac56", 0x215a}, {"frac58", 0x215d}, {"frac78", 0x215e}, {"fscr", 0x1d4bb}, {"gacute", 0x1f5}, {"gamma", 0x3b3},
    {"gammad", 0x3dd}, {"gbreve", 0x11f}, {"gcirc", 0x11d}, {"gcy", 0x433}, {"gdot", 0x121}, {"gfr", 0x1d524},
    {"gimel", 0x2137}, {"gjcy", 0x453}, {"gopf", 0x1d558}, {"grave", 0x60}, {"gscr", 0x210a}, {"gt", 0x3e | BARE},
    {"half", 0xbd}, {"hamilt", 0x210b}, {"hardcy", 0x44a}, {"hbar", 0x210f}, {"hcirc", 0x125}, {"hfr", 0x1d525},
    {"hopf", 0x1d559}, {"hscr", 0x1d4bd}, {"hslash", 0x210f}, {"hstrok", 0x127}, {"hyphen", 0x2010},
    {"iacute", 0xed | BARE}, {"ic", 0}, {"icirc", 0xee | BARE}, {"icy", 0x438}, {"iecy", 0x435}, {"ifr", 0x1d526},
    {"igrave", 0xec | BARE}, {"ii", 0x2148}, {"ijlig", 0x133}, {"imacr", 0x12b}, {"image", 0x2111},
    {"imagline", 0x2110}, {"imagpart", 0x2111}, {"imath", 0x131}, {"imped", 0x1b5}, {"inodot", 0x131},
    {"integers", 0x2124}, {"iocy", 0x451}, {"iogon", 0x12f}, {"iopf", 0x1d55a}, {"iota", 0x3b9}, {"iscr", 0x1d4be},
    {"it", 0}, {"itilde", 0x129}, {"iukcy", 0x456}, {"iuml", 0xef | BARE}, {"jcirc", 0x135}, {"jcy", 0x439},
    {"jfr", 0x1d527}, {"jmath", 0x237}, {"jopf", 0x1d55b}, {"jscr", 0x1d4bf}, {"jsercy", 0x458}, {"jukcy", 0x454},
    {"kappa", 0x3ba}, {"kappav", 0x3f0}, {"kcedil", 0x137}, {"kcy", 0x43a}, {"kfr", 0x1d528}, {"kgreen", 0x138},
    {"khcy", 0x445}, {"kjcy", 0x45c}, {"kopf", 0x1d55c}, {"kscr", 0x1d4c0}, {"lacute", 0x13a}, {"lagran", 0x2112},
    {"lambda", 0x3bb}, {"lbrace", 0x7b}, {"lbrack", 0x5b}, {"lcaron", 0x13e}, {"lcedil", 0x13c}, {"lcub", 0x7b},
    {"lcy", 0x43b}, {"lfr", 0x1d529}, {"ljcy", 0x459}, {"lmidot", 0x140}, {"lopf", 0x1d55d}, {"lowbar", 0x5f},
    {"lpar", 0x28}, {"lrm", 0}, {"lscr", 0x1d4c1}, {"lsqb", 0x5b}, {"lstrok", 0x142}, {"lt", 0x3c | BARE},
    {"mcy", 0x43c}, {"mfr", 0x1d52a}, {"micro", 0xb5 | BARE}, {"midast", 0x2a}, {"middot", 0xb7 | BARE},
    {"mopf", 0x1d55e}, {"mscr", 0x1d4c2}, {"mu", 0x3bc}, {"nacute", 0x144}, {"napos", 0x149}, {"naturals", 0x2115},
    {"nbsp", 0x20 | BARE}, {"ncaron", 0x148}, {"ncedil", 0x146}, {"ncy", 0x43d}, {"nfr", 0x1d52b}, {"njcy", 0x45a},
    {"nopf", 0x1d55f}, {"nscr", 0x1d4c3}, {"ntilde", 0xf1 | BARE}, {"nu", 0x3bd}, {"num", 0x23}, {"numero", 0x2116},
    {"oS", 0x24c8}, {"oacute", 0xf3 | BARE}, {"ocirc", 0xf4 | BARE}, {"ocy", 0x43e}, {"odblac", 0x151},
    {"oelig", 0x153}, {"ofr", 0x1d52c}, {"ograve", 0xf2 | BARE}, {"ohm", 0x3a9}, {"omacr", 0x14d}, {"omega", 0x3c9},
    {"omicron", 0x3bf}, {"oopf", 0x1d560}, {"order", 0x2134}, {"orderof", 0x2134}, {"ordf", 0xaa | BARE},
    {"ordm", 0xba | BARE}, {"oscr", 0x2134}, {"oslash", 0xf8 | BARE}, {"otilde", 0xf5 | BARE}, {"ouml", 0xf6 | BARE},
    {"pcy", 0x43f}, {"percnt", 0x25}, {"period", 0x2e}, {"pfr", 0x1d52d}, {"phi", 0x3c6}, {"phiv", 0x3d5},
    {"phmmat", 0x2133}, {"pi", 0x3c0}, {"piv", 0x3d6}, {"planck", 0x210f}, {"planckh", 0x210e}, {"plankv", 0x210f},
    {"plus", 0x2b}, {"popf", 0x1d561}, {"primes", 0x2119}, {"pscr", 0x1d4c5}, {"psi", 0x3c8}, {"qfr", 0x1d52e},
    {"qopf", 0x1d562}, {"qscr", 0x1d4c6}, {"quaternions", 0x210d}, {"quest", 0x3f}, {"quot", 0x22 | BARE},
    {"racute", 0x155}, {"rationals", 0x211a}, {"rbrace", 0x7d}, {"rbrack", 0x5d}, {"rcaron", 0x159}, {"rcedil", 0x157},
    {"rcub", 0x7d}, {"rcy", 0x440}, {"real", 0x211c}, {"realine", 0x211b}, {"realpart", 0x211c}, {"reals", 0x211d},
    {"rfr", 0x1d52f}, {"rho", 0x3c1}, {"rhov", 0x3f1}, {"rlm", 0}, {"ropf", 0x1d563}, {"rpar", 0x29},
    {"rscr", 0x1d4c7}, {"rsqb", 0x5d}, {"sacute", 0x15b}, {"scaron", 0x161}, {"scedil", 0x15f}, {"scirc", 0x15d},
    {"scy", 0x441}, {"semi", 0x3b}, {"sfr", 0x1d530}, {"shchcy", 0x449}, {"shcy", 0x448}, {"shy", 0 | BARE},
    {"sigma", 0x3c3}, {"sigmaf", 0x3c2}, {"sigmav", 0x3c2}, {"softcy", 0x44c}, {"sol", 0x2f}, {"sopf", 0x1d564},
    {"sscr", 0x1d4c8}, {"straightepsilon", 0x3f5}, {"straightphi", 0x3d5}, {"sup1", 0xb9 | BARE},
    {"sup2", 0xb2 | BARE}, {"sup3", 0xb3 | BARE}, {"szlig", 0xdf | BARE}, {"tau", 0x3c4}, {"tcaron", 0x165},
    {"tcedil", 0x163}, {"tcy", 0x442}, {"tdot", 0x20db}, {"tfr", 0x1d531}, {"theta", 0x3b8}, {"thetasym", 0x3d1},
    {"thetav", 0x3d1}, {"thorn", 0xfe | BARE}, {"topf", 0x1d565}, {"trade", 0x2122}, {"tscr", 0x1d4c9},
    {"tscy", 0x446}, {"tshcy", 0x45b}, {"tstrok", 0x167}, {"uacute", 0xfa | BARE}, {"ubrcy", 0x45e}, {"ubreve", 0x16d},
    {"ucirc", 0xfb | BARE}, {"ucy", 0x443}, {"udblac", 0x171}, {"ufr", 0x1d532}, {"ugrave", 0xf9 | BARE},
    {"umacr", 0x16b}, {"uogon", 0x173}, {"uopf", 0x1d566}, {"upsi", 0x3c5}, {"upsih", 0x3d2}, {"upsilon", 0x3c5},
    {"uring", 0x16f}, {"uscr", 0x1d4ca}, {"utilde", 0x169}, {"uuml", 0xfc | BARE}, {"varepsilon", 0x3f5},
    {"varkappa", 0x3f0}, {"varphi", 0x3d5}, {"varpi", 0x3d6}, {"varrho", 0x3f1}, {"varsigma", 0x3c2},
    {"vartheta", 0x3d1}, {"vcy", 0x432}, {"verbar", 0x7c}, {"vert", 0x7c}, {"vfr", 0x1d533}, {"vopf", 0x1d567},
    {"vscr", 0x1d4cb}, {"wcirc", 0x175}, {"wfr", 0x1d534}, {"wopf", 0x1d568}, {"wscr", 0x1d4cc}, {"xfr", 0x1d535},
    {"xi", 0x3be}, {"xopf", 0x1d569}, {"xscr", 0x1d4cd}, {"yacute", 0xfd | BARE}, {"yacy", 0x44f}, {"ycirc", 0x177},
    {"ycy", 0x44b}, {"yfr", 0x1d536}, {"yicy", 0x457}, {"yopf", 0x1d56a}, {"yscr", 0x1d4ce}, {"yucy", 0x44e},
    {"yuml", 0xff | BARE}, {"zacute", 0x17a}, {"zcaron", 0x17e}, {"zcy", 0x437}, {"zdot", 0x17c}, {"zeetrf", 0x2128},
    {"zeta", 0x3b6}, {"zfr", 0x1d537}, {"zhcy", 0x436}, {"zopf", 0x1d56b}, {"zscr", 0x1d4cf}, {"zwj", 0}, {"zwnj", 0},
};
#define NAMES (sizeof names / sizeof *names)

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* find - 0 with *found false: there is none. */
static uint32_t find(struct str name, bool *found)
{
    size_t from = 0, end = NAMES;

    *found = false;
    while (from < end) {
        size_t middle = from + (end - from) / 2;
        int order = str_compare(name, str_of(names[middle].name));

        if (order == 0) {
            *found = true;
            return names[middle].what;
        }
        if (order < 0)
            end = middle;
        else
            from = middle + 1;
    }
    return 0;
}

static void add(struct buf *b, uint32_t what)
{
    what &= ~BARE;
    if (what == FJ)
        buf_add(b, STR("fj"));
    else if (what)
        url_add_utf8(b, what);
}

size_t url_name_at(struct buf *b, struct str s)
{
    size_t n = 0;
    uint32_t what;
    bool found;

    while (n < s.n && n < LETTERS_MOST && is_alnum(s.p[n]))
        n++;
    if (n < s.n && s.p[n] == ';') {
        what = find(str_slice(s, 0, n), &found);
        if (found) {
            add(b, what);
            return n + 1;
        }
    }
    for (n = n < BARE_MOST ? n : BARE_MOST; n > 1; n--) { /* the longest one that needs no semicolon */
        what = find(str_slice(s, 0, n), &found);
        if (found && what & BARE) {
            add(b, what);
            return n;
        }
    }
    return 0;
}
