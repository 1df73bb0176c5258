``rvgahp status`` says who has to renew a certificate that ends soon, and is silent on one that is
made for days and renewed in time; what is in trouble stands first.
